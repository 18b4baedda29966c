// From the plain data of a plot to what uPlot wants: its columns and its options.
var llmserveOptions = (function () {
  "use strict";

  const { short, percent, spread, unspread, shareTicks, evenTicks, logTicks, nearest } = llmserveTicks;
  const { ROOM, drawStretches, drawInstants, drawLabels } = llmserveMarks;
  const { drawEndless, drawLimits } = llmserveLines;
  const FONT = "12px system-ui, sans-serif";
  const REACH = 14; // CSS pixels: a single point further from the pointer is not meant
  const LETTERS = 6; // of labels of the y axis, at least: so that plots of one time axis stand beneath each other
  const FEW = 12; // values of a line that are dots as well: what lies between them was not measured
  const RETAIN = 1;
  const EXPAND = 2; // uPlot.join: a gap of a series stays one beside the points of others

  const pointed = (series) => series.style === "points" || series.style === "edge";

  /** Columns for uPlot, and where the values of each series stand in them. */
  function columns(plot) {
    const place = plot.xScale === "percentile" ? spread : (x) => x;
    const drawable = plot.yScale === "log" ? (y) => (y > 0 ? y : null) : (y) => y;
    const own = plot.series.map((series) => ({ x: rising((series.x || plot.x).map(place)), y: series.y }));
    if (own.length === 0) {
      return { own, at: [], data: [[]] };
    }
    const tables = own.map(({ x, y }) => [x, y.map((value) => (value === null ? null : drawable(value)))]);
    const data = uPlot.join(tables, tables.map((_, i) => [RETAIN, pointed(plot.series[i]) ? RETAIN : EXPAND]));
    const places = new Map(data[0].map((x, index) => [x, index]));
    return { own, at: own.map(({ x }) => x.map((each) => places.get(each))), data };
  }

  /** Two requests of one instant stand beside each other: an x that is there twice would be lost. */
  function rising(x) {
    let last = -Infinity;
    return x.map((each) => {
      last = each > last ? each : last + Math.max(Math.abs(last) * 1e-9, 1e-9);
      return last;
    });
  }

  /** All that the x axis shows when nothing is zoomed: values, and marks on an axis of time. */
  function extent(plot) {
    const place = plot.xScale === "percentile" ? spread : (x) => x;
    const ends = [plot.x, ...plot.series.map((series) => series.x || [])];
    let low = Infinity;
    let high = -Infinity;
    for (const x of ends.filter((each) => each.length > 0)) {
      low = Math.min(low, place(x[0]));
      high = Math.max(high, place(x[x.length - 1]));
    }
    for (const mark of plot.marks) {
      low = Math.min(low, mark.at);
      high = Math.max(high, mark.until === undefined ? mark.at : mark.until);
    }
    if (low > high) {
      return [0, 1];
    }
    return low === high ? [low - 0.5, high + 0.5] : [low, high];
  }

  /** How an x is said: "12.5 s", "99.9 %". */
  function saidX(plot, value) {
    if (plot.xScale === "percentile") {
      return percent(unspread(value));
    }
    return plot.xUnit ? short(value) + " " + plot.xUnit : short(value);
  }

  function options(plot, sheet, palette, size, hooks) {
    return {
      width: size.width,
      height: size.height,
      padding: [plot.marks.length > 0 ? ROOM + 2 : 10, 14, 0, 2],
      legend: { show: false },
      cursor: cursor(plot, sheet, palette),
      select: { show: true },
      scales: scales(plot),
      axes: axes(plot, palette, size),
      series: [{}, ...plot.series.map((series) => drawn(series, palette))],
      hooks: {
        drawClear: [(u) => drawStretches(u, plot.marks, palette())],
        draw: [(u) => over(u, plot, sheet, palette())],
        ...hooks,
      },
    };
  }

  function over(u, plot, sheet, palette) {
    drawEndless(u, plot, sheet, palette);
    drawLimits(u, plot, sheet, palette);
    drawInstants(u, plot.marks, palette);
    drawLabels(u, plot.marks, palette);
  }

  function cursor(plot, sheet, palette) {
    const colour = (u, i) => palette()[plot.series[i - 1].colour];
    return {
      y: false,
      drag: { x: true, y: false, setScale: true, dist: 4 },
      dataIdx: (u, i, index, x) => (i === 0 ? index : meant(u, plot.series[i - 1], sheet, i - 1, x)),
      points: { size: 8, fill: colour, stroke: colour, width: 1 },
      bind: { dblclick: () => null },
    };
  }

  /** The value that a pointer at `x` means, as a place in the columns. */
  function meant(u, series, sheet, i, x) {
    const own = sheet.own[i].x;
    if (own.length === 0) {
      return null;
    }
    const index = nearest(own, x, series.style === "bars");
    const away = Math.abs(u.valToPos(own[index], "x") - u.valToPos(x, "x"));
    return pointed(series) && away > REACH ? null : sheet.at[i][index];
  }

  function scales(plot) {
    const log = plot.yScale === "log";
    return {
      x: { time: false, distr: plot.xScale === "log" ? 3 : 1, range: (u, low, high) => [low, high] },
      y: { distr: log ? 3 : 1, range: (u, low, high) => (log ? logRange(low, high) : evenRange(low, high)) },
      edge: { range: () => [0, 1.02] },
    };
  }

  function evenRange(low, high) {
    if (low === null || low === undefined) {
      return [0, 1];
    }
    const bottom = Math.min(0, low);
    return [bottom, high > bottom ? high + (high - bottom) * 0.06 : bottom + 1];
  }

  function logRange(low, high) {
    if (!(low > 0)) {
      return [1, 10];
    }
    const margin = Math.max(Math.pow(high / low, 0.05), 1.1);
    return [low / margin, high * margin];
  }

  function axes(plot, palette, size) {
    const lines = { stroke: () => palette().grid, width: 1 };
    const common = { stroke: () => palette().text, font: FONT, grid: lines, ticks: { ...lines, size: 5 } };
    const many = { x: Math.max(2, Math.floor(size.width / 80)), y: Math.max(2, Math.floor(size.height / 42)) };
    const ticksY = plot.yScale === "log" ? logTicks : evenTicks;
    const x = {
      ...common,
      size: 34,
      splits: (u, axis, low, high) => ticksX(plot, low, high, many.x),
      filter: (u, splits) => splits,
      values: (u, splits) => splits.map((at) => (plot.xScale === "percentile" ? saidX(plot, at) : short(at))),
    };
    const y = {
      ...common,
      size: (u, values) => 16 + 7 * Math.max(LETTERS, ...(values || []).map((value) => (value || "").length)),
      splits: (u, axis, low, high) => ticksY(low, high, many.y),
      filter: (u, splits) => splits,
      values: (u, splits) => splits.map(short),
    };
    return [x, y];
  }

  function ticksX(plot, low, high, most) {
    if (plot.xScale === "percentile") {
      return shareTicks(low, high, (high - low) / most);
    }
    return plot.xScale === "log" ? logTicks(low, high, most) : evenTicks(low, high, most);
  }

  function drawn(series, palette) {
    const colour = () => palette()[series.colour];
    const light = () => palette()[series.colour] + "2e";
    const line = { label: series.name, scale: "y", stroke: colour, width: 1.6 };
    const few = (series.x || []).length === 0 && series.y.length <= FEW;
    line.points = { show: few, filter: few ? undefined : lonely, size: 5, width: 0, fill: colour, stroke: colour };
    switch (series.style) {
      case "dashed":
        return { ...line, dash: [6, 4] };
      case "limit":
        return { ...line, dash: [2, 3], points: { show: false } };
      case "area":
        return { ...line, fill: light };
      case "bars":
        return { ...line, width: 1.2, fill: light, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } };
      case "points":
        return { ...line, paths: () => null, points: dots(() => palette()[series.colour] + "90", 4) };
      case "edge":
        return { ...line, scale: "edge", paths: () => null, points: dots(colour, 8) };
      default:
        return line;
    }
  }

  const dots = (colour, size) => ({ show: true, size, width: 0, fill: colour, stroke: colour });

  /** Values between two gaps have no line: only a point shows them. */
  function lonely(u, column) {
    const [from, to] = u.series[0].idxs;
    const values = u.data[column];
    const known = [];
    for (let i = from; i <= to; i += 1) {
      if (values[i] !== undefined) {
        known.push(i);
      }
    }
    const free = (at) => at === undefined || values[at] === null;
    const found = known.filter((i, n) => values[i] !== null && free(known[n - 1]) && free(known[n + 1]));
    return found.length > 0 ? found : null;
  }

  return { columns, extent, options, saidX };
})();
