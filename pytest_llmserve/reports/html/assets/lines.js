// What a line of a plot needs beside itself: where failed requests reach it, and the names of limits.
var llmserveLines = (function () {
  "use strict";

  const NEVER = "never (failed)";
  const APART = 3; // CSS pixels between lines that go along the upper edge
  const LETTER = 12; // CSS pixels: height of a label

  function clip(ctx, bbox) {
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
  }

  /** Lines go to the upper edge, and along it, where failed requests reach them. */
  function drawEndless(u, plot, sheet, palette) {
    const { ctx, bbox } = u;
    ctx.save();
    clip(ctx, bbox);
    ctx.lineWidth = 1.6 * devicePixelRatio;
    let lines = 0;
    plot.series.forEach((series, i) => {
      if (series.never === undefined || !u.series[i + 1].show) {
        return;
      }
      const top = bbox.top + (1 + APART * lines) * devicePixelRatio;
      lines += 1;
      ctx.strokeStyle = palette[series.colour];
      ctx.setLineDash(series.style === "dashed" ? [6 * devicePixelRatio, 4 * devicePixelRatio] : []);
      for (const [first, last] of stretches(series.never)) {
        along(u, series.y, sheet.own[i].x, first, last, top);
      }
    });
    ctx.restore();
  }

  /** Places that follow each other, as first and last. */
  function stretches(places) {
    const found = [];
    for (const place of places) {
      const open = found[found.length - 1];
      if (open !== undefined && open[1] === place - 1) {
        open[1] = place;
      } else {
        found.push([place, place]);
      }
    }
    return found;
  }

  function along(u, y, x, first, last, top) {
    const at = (place) => u.valToPos(x[place], "x", true);
    const known = (place) => y[place] !== null && y[place] !== undefined;
    const half = 4 * devicePixelRatio; // of a single value there would be nothing to see
    u.ctx.beginPath();
    if (known(first - 1)) {
      u.ctx.moveTo(at(first - 1), u.valToPos(y[first - 1], "y", true));
      u.ctx.lineTo(at(first), top);
    } else {
      u.ctx.moveTo(at(first) - half, top);
    }
    u.ctx.lineTo(at(last), top);
    if (known(last + 1)) {
      u.ctx.lineTo(at(last + 1), u.valToPos(y[last + 1], "y", true));
    } else {
      u.ctx.lineTo(at(last) + half, top);
    }
    u.ctx.stroke();
  }

  /** Each limit has its name at its left end, under it where another name is above; not where both are taken. */
  function drawLimits(u, plot, sheet, palette) {
    const { ctx, bbox } = u;
    const height = LETTER * devicePixelRatio;
    const taken = [];
    ctx.save();
    clip(ctx, bbox);
    ctx.font = 11 * devicePixelRatio + "px system-ui, sans-serif";
    ctx.textAlign = "left";
    ctx.textBaseline = "top";
    plot.series.forEach((series, i) => {
      if (series.style !== "limit" || !u.series[i + 1].show || sheet.own[i].x.length === 0) {
        return;
      }
      const width = ctx.measureText(series.name).width;
      const x = Math.max(u.valToPos(sheet.own[i].x[0], "x", true), bbox.left) + 3 * devicePixelRatio;
      const left = Math.min(x, bbox.left + bbox.width - width - 3 * devicePixelRatio);
      const y = u.valToPos(series.y[0], "y", true);
      const free = (top) => top >= bbox.top && top + height <= bbox.top + bbox.height
        && taken.every((each) => Math.abs(each.top - top) >= height || left > each.right || left + width < each.left);
      const top = [y - height, y + 3 * devicePixelRatio].find(free);
      if (top !== undefined) {
        ctx.fillStyle = palette.panel;
        ctx.fillRect(left - 2, top, width + 4, height - devicePixelRatio);
        ctx.fillStyle = palette[series.colour];
        ctx.fillText(series.name, left, top);
        taken.push({ top, left, right: left + width });
      }
    });
    ctx.restore();
  }

  return { NEVER, drawEndless, drawLimits };
})();
