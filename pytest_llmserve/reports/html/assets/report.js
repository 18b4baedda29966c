// Draws the plots of the report when they come into sight, and moves those of one time axis together.
(function () {
  "use strict";

  const { withUnit } = llmserveTicks;
  const { told } = llmserveMarks;
  const { NEVER } = llmserveLines;
  const { columns, extent, options, saidX } = llmserveOptions;
  const PRINT_WIDTH = 660;
  const LEAST_WIDTH = 240;
  const LINES = ["line", "dashed", "area", "bars"];
  const CLOSEST = 1e-4; // of the whole axis: as far as one can zoom
  const COLOURS = ["a", "b", "c", "d", "e", "f", "ok", "fail", "muted", "grid", "text", "band", "panel", "mark-restart",
    "mark-gone", "mark-log", "mark-stall", "mark-warm-up", "mark-ramp-up", "mark-ended"];
  const charts = [];
  const links = new Map();
  let colours = {};
  let printing = false;

  function start() {
    const data = document.getElementById("llmserve-plots");
    if (data === null) {
      return;
    }
    readColours();
    for (const plot of JSON.parse(data.textContent)) {
      const box = document.querySelector('.plot-box[data-plot="' + CSS.escape(plot.id) + '"]');
      if (box !== null) {
        charts.push({ plot, box, link: linkOf(plot), u: null, at: null });
      }
    }
    drawWhenSeen();
    followThePage();
  }

  /** What plots share that show the same axis: all of it, the part shown now, where the pointer is. */
  function linkOf(plot) {
    const name = plot.link || "plot " + plot.id;
    const [low, high] = extent(plot);
    const link = links.get(name) || { full: [low, high], shown: [low, high], charts: [] };
    link.full = [Math.min(low, link.full[0]), Math.max(high, link.full[1])];
    link.shown = link.full;
    links.set(name, link);
    return link;
  }

  function drawWhenSeen() {
    if (!("IntersectionObserver" in window)) {
      charts.forEach(draw);
      return;
    }
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries.filter((each) => each.isIntersecting)) {
        seen.unobserve(entry.target);
        draw(charts.find((chart) => chart.box === entry.target));
      }
    }, { rootMargin: "300px" });
    charts.forEach((chart) => seen.observe(chart.box));
  }

  function followThePage() {
    const resized = new ResizeObserver((entries) => {
      for (const entry of entries) {
        fit(charts.find((chart) => chart.box === entry.target));
      }
    });
    charts.forEach((chart) => resized.observe(chart.box));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
    matchMedia("print").addEventListener("change", recolour);
    new MutationObserver(recolour).observe(document.documentElement, { attributes: true });
    addEventListener("beforeprint", () => {
      printing = true;
      charts.forEach(draw);
      charts.forEach(fit);
      document.documentElement.dataset.print = "";
      recolour();
    });
    addEventListener("afterprint", () => {
      delete document.documentElement.dataset.print;
      recolour();
      printing = false;
      charts.forEach(fit);
    });
  }

  function readColours() {
    const style = getComputedStyle(document.documentElement);
    colours = Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue("--plot-" + name).trim()]));
  }

  function recolour() {
    readColours();
    charts.filter((chart) => chart.u !== null).forEach((chart) => chart.u.redraw(false));
  }

  /** Draws a plot once. One that cannot be drawn says so, and leaves its table. */
  function draw(chart) {
    if (chart.box.dataset.drawn !== undefined) {
      return;
    }
    try {
      build(chart);
      chart.link.charts.push(chart);
      chart.box.dataset.drawn = "yes";
    } catch (error) {
      chart.u = null;
      chart.box.dataset.drawn = "failed";
      const words = "This plot could not be drawn (" + error.message + "); its figures are in the table below it.";
      chart.box.replaceChildren(element("p", "plot-failed", words));
      console.error(chart.plot.id, error);
    }
  }

  function build(chart) {
    const { plot, box } = chart;
    chart.sheet = columns(plot);
    chart.legend = legend(chart);
    chart.where = element("p", "plot-where", resting(plot));
    chart.live = element("p", "plot-live");
    chart.live.setAttribute("aria-live", "polite");
    chart.stage = stage(plot);
    box.replaceChildren(chart.legend.list, chart.stage, chart.where, chart.live);
    const size = { width: widthOf(chart), height: heightOf(chart) };
    const hooks = { setCursor: [() => pointed(chart)], setScale: [(u, key) => zoomed(chart, key)] };
    chart.u = new uPlot(options(plot, chart.sheet, () => colours, size, hooks), chart.sheet.data, chart.stage);
    chart.u.setScale("x", { min: chart.link.shown[0], max: chart.link.shown[1] });
    chart.u.over.addEventListener("dblclick", () => show(chart.link, chart.link.full));
    chart.stage.addEventListener("keydown", (event) => pressed(chart, event));
  }

  /** The part that has the pointer and the keyboard. */
  function stage(plot) {
    const made = element("div", "plot-stage");
    made.tabIndex = 0;
    made.setAttribute("role", "application");
    made.setAttribute("aria-roledescription", "plot");
    made.setAttribute("aria-label", plot.title + ". " + plot.said
      + " Arrow keys move along it, plus and minus zoom, 0 shows all.");
    return made;
  }

  function element(name, className, words) {
    const made = document.createElement(name);
    made.className = className;
    made.textContent = words || "";
    return made;
  }

  /** A line for each series: a button that hides it, and its value where the pointer is. */
  function legend(chart) {
    const list = element("ul", "plot-legend");
    list.append(element("li", "plot-y-name", chart.plot.yName + logarithmic(chart.plot.yScale)));
    const values = chart.plot.series.map((series, i) => {
      const row = element("li", "");
      const button = element("button", "plot-series plot-style-" + series.style, series.name);
      button.type = "button";
      button.setAttribute("aria-pressed", "true");
      button.style.setProperty("--swatch", "var(--plot-" + series.colour + ")");
      button.addEventListener("click", () => hide(chart, i, button));
      const value = element("span", "plot-value");
      row.append(button, value);
      list.append(row);
      return value;
    });
    return { list, values };
  }

  function hide(chart, i, button) {
    const shown = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(shown));
    chart.u.setSeries(i + 1, { show: shown });
  }

  function widthOf(chart) {
    return printing ? PRINT_WIDTH : Math.max(LEAST_WIDTH, Math.floor(chart.box.clientWidth) || PRINT_WIDTH);
  }

  const heightOf = (chart) => Math.floor(chart.stage.clientHeight) || 240;

  function fit(chart) {
    const width = widthOf(chart);
    if (chart.u !== null && (printing || chart.box.clientWidth > 0) && width !== chart.u.width) {
      chart.u.setSize({ width, height: heightOf(chart) });
    }
  }

  function resting(plot) {
    const unit = plot.xUnit && plot.xUnit !== "%" ? " (" + plot.xUnit + ")" : "";
    return plot.xName + unit + logarithmic(plot.xScale);
  }

  const logarithmic = (scale) => (scale === "log" ? ", logarithmic" : "");

  /** The pointer moved over a plot: its values are told, and the others of its axis follow. */
  function pointed(chart) {
    const { u, link } = chart;
    if (u === null) {
      return;
    }
    const x = u.cursor.left >= 0 ? u.posToVal(u.cursor.left, "x") : null;
    tell(chart, x);
    for (const other of link.charts.filter((each) => each !== chart)) {
      const left = x === null ? -10 : other.u.valToPos(x, "x");
      other.u.setCursor({ left, top: left < 0 ? -10 : 1 }, false, false);
      tell(other, x);
    }
  }

  function tell(chart, x) {
    const rows = x === null ? [] : valuesAt(chart);
    chart.at = x;
    chart.plot.series.forEach((series, i) => {
      chart.legend.values[i].textContent = rows.length > 0 ? rows[i] : "";
    });
    chart.where.textContent = x === null ? resting(chart.plot) : whereText(chart, x);
  }

  function whereText(chart, x) {
    const reach = chart.u.posToVal(8, "x") - chart.u.posToVal(0, "x");
    const near = told(chart.plot.marks, x, reach);
    return chart.plot.xName + ": " + [placeText(chart, x), ...near].join(" · ");
  }

  /** The x of the value that is told, not of the pointer; of a bar from where to where it reaches. */
  function placeText(chart, x) {
    const { plot, sheet } = chart;
    const main = plot.series.findIndex((series, i) => LINES.includes(series.style) && sheet.own[i].x.length > 0);
    if (main < 0) {
      return saidX(plot, x);
    }
    const rising = sheet.own[main].x;
    const bars = plot.series[main].style === "bars";
    const index = Math.min(llmserveTicks.nearest(rising, x, bars), rising.length - (bars ? 2 : 1));
    return bars ? saidX(plot, rising[index]) + " to " + saidX(plot, rising[index + 1]) : saidX(plot, rising[index]);
  }

  function valuesAt(chart) {
    return chart.plot.series.map((series, i) => {
      const column = chart.u.cursor.idxs[i + 1];
      const own = column === null || column === undefined ? -1 : chart.sheet.at[i].indexOf(column);
      if (own < 0) {
        return "–";
      }
      const word = series.labels ? series.labelled + series.labels[own] : "";
      const never = series.never !== undefined && series.never.includes(own);
      const value = series.style === "edge" ? "" : never ? NEVER : withUnit(series.y[own], series.unit);
      return [value, word].filter((part) => part !== "").join(" · ");
    });
  }

  /** The x axis of a plot changed: all of the same axis show the same part. */
  function zoomed(chart, key) {
    if (key !== "x" || chart.u === null) {
      return;
    }
    const { min, max } = chart.u.scales.x;
    if (min !== chart.link.shown[0] || max !== chart.link.shown[1]) {
      show(chart.link, [min, max]);
    }
  }

  function show(link, [low, high]) {
    const [first, last] = link.full;
    const width = Math.min(Math.max(high - low, (last - first) * CLOSEST), last - first);
    const from = Math.min(Math.max(low, first), last - width);
    link.shown = [from, from + width];
    for (const chart of link.charts) {
      chart.u.setScale("x", { min: link.shown[0], max: link.shown[1] });
      chart.box.dataset.zoomed = width < last - first ? "yes" : "no";
    }
  }

  function pressed(chart, event) {
    const act = event.ctrlKey || event.metaKey || event.altKey ? undefined : KEYS[event.key];
    if (act !== undefined && act(chart, event) !== false) {
      event.preventDefault();
    }
  }

  const KEYS = {
    ArrowRight: (chart, event) => step(chart, event.shiftKey ? 10 : 1),
    ArrowLeft: (chart, event) => step(chart, event.shiftKey ? -10 : -1),
    Home: (chart) => step(chart, -Infinity),
    End: (chart) => step(chart, Infinity),
    "+": (chart) => zoom(chart, 0.5),
    "=": (chart) => zoom(chart, 0.5),
    "-": (chart) => zoom(chart, 2),
    0: (chart) => show(chart.link, chart.link.full),
    Escape: (chart) => (chart.box.dataset.zoomed === "yes" ? show(chart.link, chart.link.full) : false),
  };

  /** Goes so many values along the first series, within the part that is shown, and says what is there. */
  function step(chart, by) {
    const [low, high] = chart.link.shown;
    const own = chart.sheet.own.find((each) => each.x.length > 0) || { x: [] };
    const seen = own.x.filter((x) => x >= low && x <= high);
    if (seen.length === 0) {
      return;
    }
    const from = chart.at === null ? (by > 0 ? -1 : seen.length) : llmserveTicks.nearest(seen, chart.at, false);
    const to = Math.min(Math.max(from + by, 0), seen.length - 1);
    chart.u.setCursor({ left: chart.u.valToPos(seen[to], "x"), top: 1 }, true, false);
    chart.live.textContent = spoken(chart);
  }

  function zoom(chart, times) {
    const [low, high] = chart.link.shown;
    const inside = chart.at !== null && chart.at >= low && chart.at <= high;
    const middle = inside ? chart.at : (low + high) / 2;
    show(chart.link, [middle - (middle - low) * times, middle + (high - middle) * times]);
    chart.live.textContent = saidX(chart.plot, chart.link.shown[0]) + " to " + saidX(chart.plot, chart.link.shown[1]);
  }

  function spoken(chart) {
    const values = valuesAt(chart).map((value, i) => (value === "–" ? "" : chart.plot.series[i].name + " " + value));
    return [chart.where.textContent, ...values.filter((words) => words !== "")].join(", ");
  }

  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", start);
  } else {
    start();
  }
})();
