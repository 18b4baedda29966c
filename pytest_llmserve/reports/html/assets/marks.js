// Instants and stretches on the x axis: restarts, lines of the log, stages. Drawn on the canvas of a plot.
var llmserveMarks = (function () {
  "use strict";

  const ROOM = 16; // CSS pixels above the plot, for labels
  const WORDS = { gone: "server gone", ended: "load ended" }; // of other kinds their name
  const GRAVEST = ["gone", "restart", "ended", "log", "stall", "stage", "warm-up", "ramp-up"];

  const PLANNED = ["stage", "warm-up", "ramp-up"];

  const wordOf = (mark) => WORDS[mark.kind] || mark.kind;

  function colourOf(kind, palette) {
    return palette["mark-" + kind] || palette.muted;
  }

  /** Stretches, behind everything: every second stage is shaded, a warm-up always. */
  function drawStretches(u, marks, palette) {
    const { ctx, bbox } = u;
    let stages = 0;
    ctx.save();
    clip(ctx, bbox);
    for (const mark of marks.filter((each) => each.until !== undefined)) {
      stages += mark.kind === "stage" ? 1 : 0;
      if (mark.kind === "stage" && stages % 2 === 1) {
        continue;
      }
      const from = u.valToPos(mark.at, "x", true);
      const width = Math.max(u.valToPos(mark.until, "x", true) - from, devicePixelRatio);
      ctx.fillStyle = mark.kind === "stage" ? palette.band : colourOf(mark.kind, palette) + "30";
      ctx.fillRect(from, bbox.top, width, bbox.height);
    }
    ctx.restore();
  }

  /** Instants, over everything, each with a foot on the axis so that it is not known by its colour alone. */
  function drawInstants(u, marks, palette) {
    const { ctx, bbox } = u;
    ctx.save();
    clip(ctx, bbox);
    ctx.lineWidth = 1.5 * devicePixelRatio;
    for (const mark of marks.filter((each) => each.until === undefined)) {
      const x = u.valToPos(mark.at, "x", true);
      ctx.strokeStyle = ctx.fillStyle = colourOf(mark.kind, palette);
      ctx.setLineDash(mark.kind === "log" ? [3 * devicePixelRatio, 3 * devicePixelRatio] : []);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      foot(ctx, x, bbox.top + bbox.height);
    }
    ctx.restore();
  }

  function foot(ctx, x, bottom) {
    const size = 5 * devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(x - size, bottom);
    ctx.lineTo(x + size, bottom);
    ctx.lineTo(x, bottom - 1.6 * size);
    ctx.fill();
  }

  /** Labels above the plot, the gravest first; one that would lie over another is left out. */
  function drawLabels(u, marks, palette) {
    const { ctx, bbox } = u;
    const gap = 6 * devicePixelRatio;
    const taken = [];
    ctx.save();
    ctx.font = 11 * devicePixelRatio + "px system-ui, sans-serif";
    ctx.textBaseline = "bottom";
    ctx.textAlign = "left";
    for (const { words, x, end, colour } of labelled(u, marks, palette)) {
      const width = ctx.measureText(words).width;
      const left = Math.max(Math.min(x, end - width), bbox.left);
      const free = taken.every(([from, to]) => left > to + gap || left + width + gap < from);
      if (free && left + width <= end) {
        ctx.fillStyle = colour;
        ctx.fillText(words, left, bbox.top - 2 * devicePixelRatio);
        taken.push([left, left + width]);
      }
    }
    ctx.restore();
  }

  function labelled(u, marks, palette) {
    const right = u.bbox.left + u.bbox.width;
    const grave = (mark) => (GRAVEST.indexOf(mark.kind) + GRAVEST.length) % GRAVEST.length;
    return [...marks].sort((a, b) => grave(a) - grave(b) || a.at - b.at).map((mark) => {
      const planned = PLANNED.includes(mark.kind);
      return {
        words: planned ? mark.label : wordOf(mark),
        x: u.valToPos(mark.at, "x", true),
        end: planned && mark.until !== undefined ? Math.min(right, u.valToPos(mark.until, "x", true)) : right,
        colour: planned ? palette.muted : colourOf(mark.kind, palette),
      };
    }).filter((label) => label.end >= u.bbox.left && label.x <= right);
  }

  function clip(ctx, bbox) {
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
  }

  /** What stands at a place of the x axis: instants no further than `reach`, stretches around it. */
  function told(marks, at, reach) {
    return marks.filter((mark) => {
      const until = mark.until === undefined ? mark.at : mark.until;
      const near = mark.until === undefined ? reach : 0;
      return at >= mark.at - near && at <= until + near;
    }).map(said);
  }

  /** "restart: the test ended the server", but "8 users", and not "log: log: ...". */
  function said(mark) {
    const bare = PLANNED.includes(mark.kind) || mark.label.startsWith(wordOf(mark));
    return bare ? mark.label : wordOf(mark) + ": " + mark.label;
  }

  return { ROOM, drawStretches, drawInstants, drawLabels, told };
})();
