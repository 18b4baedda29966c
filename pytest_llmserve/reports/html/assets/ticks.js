// Numbers and scales of the plots: nothing here touches the page.
var llmserveTicks = (function () {
  "use strict";

  const SHARES = [0, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999, 0.999999];

  /** A number as people read it: three digits that mean something, thousands apart. */
  function short(value) {
    const size = Math.abs(value);
    if (size >= 100) {
      return Math.round(value).toLocaleString("en-US");
    }
    if (size >= 10) {
      return String(Number(value.toFixed(1)));
    }
    return String(Number(value.toPrecision(size >= 1 ? 3 : 2)));
  }

  function withUnit(value, unit) {
    if (value === null || value === undefined) {
      return "–";
    }
    return unit ? short(value) + " " + unit : short(value);
  }

  /** A share as a percentile: 0.999 is "99.9 %". */
  function percent(share) {
    return Number((share * 100).toPrecision(7)) + " %";
  }

  /** HdrHistogram's axis: as much room for 99 to 99.9 % as for 90 to 99 %. */
  function spread(share) {
    return -Math.log10(1 - Math.min(share, 1 - 1e-9));
  }

  function unspread(place) {
    return 1 - Math.pow(10, -place);
  }

  /** The shares to write on a percentile axis, as places on it, no closer than `room` apart. */
  function shareTicks(low, high, room) {
    const chosen = [];
    for (const place of SHARES.map(spread)) {
      const fits = chosen.length === 0 || place - chosen[chosen.length - 1] >= room;
      if (place >= low - 1e-9 && place <= high + 1e-9 && fits) {
        chosen.push(place);
      }
    }
    return chosen;
  }

  /** Round numbers between two others, about `most` of them. */
  function evenTicks(low, high, most) {
    const rough = (high - low) / Math.max(most, 1);
    if (!(rough > 0)) {
      return [low];
    }
    const power = Math.pow(10, Math.floor(Math.log10(rough)));
    const step = power * [1, 2, 5, 10].find((times) => times * power >= rough * 0.999);
    const ticks = [];
    for (let n = Math.ceil(low / step - 1e-9); n * step <= high * (1 + 1e-12) + 1e-12; n += 1) {
      ticks.push(Number((n * step).toPrecision(12)));
    }
    return ticks;
  }

  /** Of a logarithmic axis: powers of ten, with 2 and 5 between where there are few. */
  function logTicks(low, high, most) {
    const decades = Math.log10(high / low);
    if (decades < 0.7) {
      return evenTicks(low, high, most);
    }
    const within = [[1, 2, 5], [1, 3], [1]].find((steps) => steps.length * decades <= most) || [1];
    const skip = Math.max(1, Math.ceil(decades / Math.max(most, 1)));
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += skip) {
      for (const times of within) {
        const tick = Number((times * Math.pow(10, power)).toPrecision(6));
        if (tick >= low && tick <= high) {
          ticks.push(tick);
        }
      }
    }
    return ticks;
  }

  /** Place of the value nearest to `wanted` in a rising list; of bars, of the one it lies in. */
  function nearest(rising, wanted, floor) {
    let low = 0;
    let high = rising.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (rising[middle] <= wanted) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    const next = rising[low + 1];
    return !floor && next !== undefined && next - wanted < wanted - rising[low] ? low + 1 : low;
  }

  return { short, withUnit, percent, spread, unspread, shareTicks, evenTicks, logTicks, nearest };
})();
