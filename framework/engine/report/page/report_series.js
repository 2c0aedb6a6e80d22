"use strict";
// The order, the names and the colours of series: natural order, and one colour per frequency in the whole page.

const naturalOrder = new Intl.Collator("en", {numeric: true}).compare;

// Train comes before test; series that differ in their numbers alone ("k=16", "k=5") are sorted by them; all others keep
// their places.
function inNaturalOrder(list, nameOf) {
  const groups = new Map();
  const place = (one) => fixedIndex(nameOf(one)) ?? 3;
  for (const one of [...list].sort((a, b) => place(a) - place(b))) {
    const skeleton = nameOf(one).replace(/\d+/g, "#");
    groups.set(skeleton, [...(groups.get(skeleton) || []), one]);
  }
  return [...groups.values()].flatMap((group) =>
    group.sort((a, b) => naturalOrder(nameOf(a), nameOf(b))),
  );
}

// The one frequency that a name speaks of: "k=14/margin", "k = 14", "frequency 14"; else null.
function frequencyOf(name) {
  const said = [...name.matchAll(/(?:^|[^A-Za-z0-9])k ?= ?(\d+)|frequency (\d+)/g)];
  return said.length === 1 ? Number(said[0][1] ?? said[0][2]) : null;
}

// The key frequencies of the last checkpoint come first, ascending, then all others that are named.
let allFrequencies = null;
function frequencyIndex(frequency) {
  allFrequencies ||= knownFrequencies();
  if (!allFrequencies.has(frequency)) allFrequencies.set(frequency, allFrequencies.size);
  return allFrequencies.get(frequency);
}

function keyFrequencies() {
  const keys = new Set();
  for (const probe of pageData.probes)
    for (const finding of probe.findings) {
      const last = finding.at.at(-1)?.[1];
      if (last?.kind === "key_frequencies") last.frequencies.forEach((k) => keys.add(k));
    }
  return [...keys].sort((a, b) => a - b);
}

function knownFrequencies() {
  const keys = keyFrequencies(),
    others = new Set();
  for (const probe of pageData.probes)
    for (const curve of probe.curves) {
      const k = frequencyOf(curve.name);
      if (k !== null && !keys.includes(k)) others.add(k);
    }
  const all = [...keys, ...[...others].sort((a, b) => a - b)];
  return new Map(all.map((k, i) => [k, i]));
}

// "train/loss" and "test/loss" have the same colour in every panel.
const fixedColours = {train: 0, test: 1, all: 2};

function fixedIndex(name) {
  const part = name.split("/").find((one) => one in fixedColours);
  return part === undefined || /\/(loss|accuracy)\//.test(name) ? null : fixedColours[part];
}

// An index into the colours for each of `names`: that of its frequency, or else of train and test, unless an earlier one
// has it already. All others get the next that is free, and none that a key frequency has.
function colourIndices(names) {
  const frequencies = names.map(frequencyOf),
    some = frequencies.some((k) => k !== null),
    taken = new Set(some ? keyFrequencies().map((_, i) => i) : []);
  const wanted = names.map((name, i) => {
    const index = !some ? fixedIndex(name) : frequencies[i] === null ? null : frequencyIndex(frequencies[i]);
    if (index === null || (!some && taken.has(index))) return null;
    taken.add(index);
    return index;
  });
  let next = 0;
  return wanted.map((index) => {
    if (index !== null) return index;
    while (taken.has(next)) ++next;
    return next++;
  });
}

const dashes = ["solid", "dash", "dot", "dashdot"];
const symbols = ["circle", "square", "diamond", "cross"];

// {colour, dash, symbol} for each of `names`. Two of one colour, as "k=5/mean" and "k=5/deviation", are dashed differently.
function stylesOf(names) {
  const n = theme().lines.length,
    taken = new Set();
  return colourIndices(names).map((index) => {
    let round = Math.floor(index / n);
    for (let tries = 1; tries < dashes.length && taken.has(`${index % n} ${round % dashes.length}`); ++tries) ++round;
    taken.add(`${index % n} ${round % dashes.length}`);
    return {
      colour: lineColour(index),
      dash: dashes[round % dashes.length],
      symbol: symbols[round % symbols.length],
    };
  });
}
