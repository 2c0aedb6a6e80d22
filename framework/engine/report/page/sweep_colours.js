"use strict";
// Colours of runs: by class, or by a key. Values that are numbers lie on a ramp, dark to bright.

const rampStops = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"];
// The part of the ramp that can be seen on paper of this theme.
const rampRange = () => (themeName() === "dark" ? [0.28, 1] : [0, 0.82]);

function rampColour(share) {
  const [from, to] = rampRange();
  const at = (from + (to - from) * Math.min(1, Math.max(0, share))) * (rampStops.length - 1);
  const low = Math.min(Math.floor(at), rampStops.length - 2);
  const part = (stop, i) => parseInt(rampStops[stop].slice(1 + 2 * i, 3 + 2 * i), 16);
  const mixed = [0, 1, 2].map((i) => Math.round(part(low, i) + (part(low + 1, i) - part(low, i)) * (at - low)));
  return `rgb(${mixed.join(", ")})`;
}
const rampScale = () => Array.from({length: 9}, (_, i) => [i / 8, rampColour(i / 8)]);

// From nothing, the colour of the paper, to all.
function shareScale() {
  const stops = theme().diverging.slice(0, 6).reverse();
  return stops.map((colour, i) => [i / (stops.length - 1), colour]);
}

function faded(colour, opacity) {
  const parts = colour.startsWith("#")
    ? [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16)) : colour.match(/\d+/g).slice(0, 3);
  return `rgba(${parts.join(", ")}, ${opacity})`;
}

const mostColours = 12;
// What runs can be coloured by: null (nothing), "class", or the index of a key.
const colourMenu = () => [
  ...(classes.length ? [["class", "class"]] : []),
  ...keys.map((key, i) => [key.name, i]).filter(([, i]) => keys[i].values.length <= mostColours),
  ["nothing", null],
];

// {title, names, colour(i), of(run)}: the groups of a colouring; of(run) is an index into names.
function colouring(by) {
  if (by === null) return {title: "", names: ["runs"], colour: () => lineColour(0), of: () => 0};
  if (by === "class") {
    const names = classes.map(({name}) => name);
    if (runs.some((run) => run.class === null)) names.push("no class");
    return {title: "class", names, of: (run) => run.class ?? classes.length,
      colour: (i) => (i < classes.length ? lineColour(i) : theme().axis)};
  }
  const key = keys[by], n = key.values.length;
  const ordered = key.numbers.length > 0 && key.name !== "seed" && n > 2;
  return {title: key.name, names: key.values, of: (run) => run.keys[by],
    colour: (i) => (ordered ? rampColour(i / (n - 1)) : lineColour(i))};
}
