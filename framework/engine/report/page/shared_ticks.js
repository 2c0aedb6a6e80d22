"use strict";
// The ticks of logarithmic axes. Plotly's own are of three sizes, and run into each other within a power of ten.

// 10^power times a digit: "0.02", "300", or where one of the ticks would be long, "2×10⁻⁶".
function logTickText({digit, power}, plain) {
  if (plain || (digit === 1 && (power === 0 || power === 1))) return shown(Number(`${digit}e${power}`));
  const ten = `10<sup>${power < 0 ? "−" : ""}${Math.abs(power)}</sup>`;
  return digit === 1 ? ten : `${digit}×${ten}`;
}

// The values digit x 10^power between 10^low and 10^high.
function logTickPlaces(digits, low, high) {
  const places = [];
  for (let power = Math.floor(low); power <= Math.ceil(high); ++power)
    for (const digit of digits) {
      const at = Math.log10(digit) + power;
      if (at >= low - 1e-9 && at <= high + 1e-9) places.push({digit, power});
    }
  return places;
}

// At most `most` ticks from 10^low to 10^high: some powers of ten, or 1, 2 and 5, or what is finest and still fits. Less
// than a factor of 2 has those of a linear axis, which Plotly knows.
function logTicks([low, high], most) {
  const room = Math.max(2, most);
  for (const digits of [[1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 5], [1, 3]]) {
    const places = logTickPlaces(digits, low, high);
    if (places.length >= 2 && places.length <= room && high - low < 2) return ticksAt(places);
  }
  const powers = logTickPlaces([1], low, high),
    every = Math.ceil(powers.length / room);
  if (powers.length >= 2) return ticksAt(powers.filter(({power}) => power % every === 0));
  const few = logTickPlaces([1, 2, 5], low, high);
  return few.length >= 2 ? ticksAt(few.slice(0, room)) : {};
}

function ticksAt(places) {
  const plain = places.every(({power}) => power >= -3 && power <= 3);
  return {
    tickmode: "array",
    tickvals: places.map(({digit, power}) => Number(`${digit}e${power}`)),
    ticktext: places.map((place) => logTickText(place, plain)),
  };
}

// The logarithms between which the traces lie along "x" or "y"; null if nothing there is positive.
function logRange(data, letter) {
  let low = Infinity,
    high = -Infinity;
  for (const trace of data)
    if (trace.visible !== false)
      for (const value of trace[letter] || [])
        if (value > 0 && Number.isFinite(value)) {
          low = Math.min(low, value);
          high = Math.max(high, value);
        }
  return low <= high ? [Math.log10(low), Math.log10(high)] : null;
}

const isOwnLogAxis = (axis) => axis?.type === "log" && axis.tickmode !== "array";
const logTicksIn = (letter, range, pixels) => logTicks(range, pixels / (letter === "x" ? 56 : 20));

// Adds ticks to those axes of a layout that are logarithmic and have none; small multiples share theirs.
function addLogTicks(data, layout, width) {
  const {l = 60, r = 16, t = 34, b = 44} = layout.margin || {};
  for (const [name, axis] of Object.entries(layout)) {
    const letter = /^([xy])axis\d*$/.exec(name)?.[1];
    if (!letter || !isOwnLogAxis(axis)) continue;
    const range = axis.range || logRange(data, letter),
      [from, to] = axis.domain || [0, 1],
      pixels = (to - from) * (letter === "x" ? width - l - r : layout.height - t - b);
    if (range) Object.assign(axis, {ownLogTicks: true}, logTicksIn(letter, [...range].sort((a, b) => a - b), pixels));
  }
}

// Zoomed in, an axis gets other ticks; zoomed out again, those that it had.
function followLogTicks(target) {
  target.on("plotly_relayout", (change) => {
    const update = {};
    for (const [name, axis] of Object.entries(target._fullLayout)) {
      const zoomed = change[`${name}.range[0]`] !== undefined || change[`${name}.range`] !== undefined,
        whole = change[`${name}.autorange`] !== undefined;
      if (!/^[xy]axis\d*$/.test(name) || axis.type !== "log" || !target.layout[name]?.ownLogTicks || !(zoomed || whole)) continue;
      const ticks = logTicksIn(axis._id[0], axis.range, axis._length);
      update[`${name}.tickmode`] = ticks.tickmode || "auto";
      update[`${name}.tickvals`] = ticks.tickvals || null;
      update[`${name}.ticktext`] = ticks.ticktext || null;
    }
    if (Object.keys(update).length > 0) Plotly.relayout(target, update);
  });
}
