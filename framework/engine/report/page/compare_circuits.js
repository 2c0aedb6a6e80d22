"use strict";
// What interventions found in two networks: the edges of their circuits, and the variables that their sites carry.

const pairNames = (pair) => `${runNames[pair.a]}, ${runNames[pair.b]}`;
const inPercent = (x) => (Number.isFinite(x) ? `${(100 * x).toFixed(1)} %` : "–");

// The comparisons of `kind`, "circuits" or "carried", over all pairs of runs.
function foundInBoth(kind) {
  return pageData.pairs.flatMap((pair) => pair[kind].map((found) => ({pair, found})));
}
const nameOfFound = ({pair, found}, all) => {
  const several = new Set(all.map((each) => each.found.probe)).size > 1;
  return several ? `${pairNames(pair)} (${found.probe})` : pairNames(pair);
};

// Which edges are in a circuit; the colours say the same as the symbols.
function edgeKinds(pair) {
  return [
    {name: "in both circuits", has: ([a, b]) => a && b, symbol: "circle", colour: 0},
    {name: `only in that of ${runNames[pair.a]}`, has: ([a, b]) => a && !b, symbol: "triangle-up", colour: 1},
    {name: `only in that of ${runNames[pair.b]}`, has: ([a, b]) => !a && b, symbol: "triangle-down", colour: 2},
    {name: "in neither", has: ([a, b]) => !a && !b, symbol: "circle-open", colour: 6},
  ];
}

// The names of the largest edges stand beside their points, those that would run into one above are left out.
function edgeLabels(edges, low, high) {
  const near = 0.045 * (high - low), labels = [];
  for (const {edge, shares: [x, y]} of edges) {
    if (labels.some((other) => Math.abs(other.y - y) < near && Math.abs(other.x - x) < 8 * near)) continue;
    labels.push({text: edge, x, y, xanchor: x > (low + high) / 2 ? "right" : "left", yanchor: "middle",
      xshift: x > (low + high) / 2 ? -9 : 9, showarrow: false, font: {size: 10.5, color: theme().soft}});
    if (labels.length === 8) break;
  }
  return labels;
}

function edgesFigure({pair, found}) {
  const edges = found.edges.filter(({shares}) => shares.every(Number.isFinite)),
    all = edges.flatMap(({shares}) => shares),
    [low, high] = padded(Math.min(0, ...all), Math.max(0, ...all));
  const points = edgeKinds(pair).map(({name, has, symbol, colour}) => {
    const chosen = edges.filter((edge) => has(edge.in_circuit));
    return {type: "scatter", mode: "markers", name, x: chosen.map(({shares}) => shares[0]), y: chosen.map(({shares}) => shares[1]),
      text: chosen.map(({edge}) => edge), marker: {size: 9, symbol, color: lineColour(colour)},
      hovertemplate: `%{text}<br>${runNames[pair.a]} %{x:.1%}, ${runNames[pair.b]} %{y:.1%}<extra>${name}</extra>`};
  });
  const axis = (run) => axisStyle(`${runNames[run]}: share of the fall`, {range: [low, high], tickformat: ".0%"});
  return {
    file: "edges",
    data: [{type: "scatter", mode: "lines", x: [low, high], y: [low, high], hoverinfo: "skip", showlegend: false,
      line: {color: theme().axis, width: 1, dash: "dot"}}, ...points.filter(({x}) => x.length > 0)],
    layout: {height: 440, showlegend: true, margin: {l: 64, r: 16, t: 70, b: 50}, xaxis: axis(pair.a), yaxis: axis(pair.b),
      annotations: isNarrow() ? [] : edgeLabels(edges, low, high)},
  };
}

function edgesTable({pair, found}) {
  const mark = (inCircuit) => (inCircuit ? "in the circuit" : "");
  const rows = found.edges.map(({edge, shares, in_circuit: inside}) => [edge, inPercent(shares[0]), mark(inside[0]),
    inPercent(shares[1]), mark(inside[1])]);
  return table("listed", ["", runName(pair.a), "", runName(pair.b), ""], rows, (column) => column === 1 || column === 3);
}

// Shows one of several: a figure and a table, chosen by name.
function oneOf(all, show) {
  if (all.length === 1) return [show(all[0])];
  const place = element("div", {}, show(all[0]));
  return [choices("Networks", all.map((each) => [nameOfFound(each, all), each]), (each) => place.replaceChildren(show(each))), place];
}

function jaccardHeatmap(probe) {
  const of = (a, b) => pairOf(a, b).circuits.find((found) => found.probe === probe);
  return pairHeatmap((a, b) => (a === b ? 1 : of(a, b)?.jaccard ?? null), "Edges of the circuits in common", "Jaccard", (a, b) => {
    if (a === b) return runNames[a];
    const found = of(a, b);
    return `${runNames[a]}, ${runNames[b]}<br>${found ? overlapText(found) : "not measured on both, or graphs of different sizes"}`;
  }, "circuit-overlap");
}
const overlapText = (found) => `${found.common} of ${found.a} and ${found.b}, by chance ${number(found.by_chance)}`;

function circuitsSection() {
  const all = foundInBoth("circuits");
  if (all.length === 0) return;
  const drawn = all.filter(({found}) => found.edges.length > 0);
  const rows = all.map(({pair, found}) => [runName(pair.a), runName(pair.b), overlapText(found), number(found.jaccard),
    Number.isFinite(found.correlation) ? found.correlation.toFixed(3) : "–", found.heads_renamed ? "renamed to fit" : "as they are"]);
  section("Circuits",
    "Edges through which the answer passes, scored by patching each: what the metric loses with that edge alone, as a share of " +
    "what it loses with all. By chance: of two random sets of these sizes, without renaming heads to fit.",
    ...(runNames.length > 2 ? [figure(() => jaccardHeatmap(all[0].found.probe))] : []),
    table("listed", ["", "", "edges in common", "Jaccard", "scores correlate by", "heads"], rows),
    ...(drawn.length === 0 ? [] : oneOf(drawn, (each) => element("div", {},
      figure(() => edgesFigure(each)), folded(true, "Every edge of a share of 1 % or more", edgesTable(each))))));
}

// A row for each hypothesis, a colour for each run. Open: a random subspace of the same size.
function carriedFigure() {
  const scores = new Map();
  for (const {pair, found} of foundInBoth("carried"))
    for (const {hypothesis, accuracy, random} of found.hypotheses) {
      if (!scores.has(hypothesis)) scores.set(hypothesis, new Map());
      [pair.a, pair.b].forEach((run, side) => scores.get(hypothesis).set(run, [accuracy[side], random[side]]));
    }
  const names = [...scores.keys()], rows = names.map((_, i) => i), data = [];
  runNames.forEach((name, run) => {
    const at = (which) => names.map((hypothesis) => scores.get(hypothesis).get(run)?.[which] ?? null);
    const spread = rows.map((row) => row + (run - (runNames.length - 1) / 2) * Math.min(0.12, 0.6 / runNames.length));
    const trace = (which, marker, more) => ({type: "scatter", mode: "markers", name, legendgroup: name, x: at(which), y: spread,
      marker: {color: lineColour(run), ...marker}, hovertemplate: `%{x:.1%}<extra>${name}</extra>`, ...more});
    if (at(0).every((x) => x === null)) return;
    data.push(trace(1, {size: 8, symbol: "circle-open", opacity: 0.75},
      {showlegend: false, hovertemplate: `%{x:.1%}<extra>${name}, random subspace</extra>`}));
    data.push(trace(0, {size: 9, line: {width: 1, color: theme().paper}}));
  });
  return {
    file: "carried", data,
    layout: {height: 120 + (isNarrow() ? 36 : 24) * names.length, margin: {l: roomForRows(names), r: 16, t: 50, b: 44},
      annotations: rowNames(names), xaxis: axisStyle("interchange accuracy", {range: [-0.03, 1.03], tickformat: ".0%"}),
      yaxis: rowAxis(names)},
  };
}

function carriedTable({pair, found}) {
  const says = ([a, b]) => (a && b ? "both" : a ? runNames[pair.a] : b ? runNames[pair.b] : "neither");
  const rows = found.hypotheses.map(({hypothesis, accuracy, random, other_functions: functions, carried}) => [hypothesis,
    ...accuracy.map((x, side) => `${inPercent(x)} (${inPercent(random[side])}; ${inPercent(functions[side])})`),
    inPercent(accuracy[1] - accuracy[0]).replace("-", "−"), says(carried)]);
  return table("listed", ["", runName(pair.a), runName(pair.b), "difference", "carried by"], rows, (column) => column === 3);
}

function carriedSection() {
  const all = foundInBoth("carried");
  if (all.length === 0) return;
  section("Variables that sites carry",
    "Interchange accuracy: how often a network answers as if a variable were another input's, once that input's coordinates " +
    "are put in at the site. Open: a random subspace of the same size. In brackets: that null, and the directions of other functions.",
    figure(carriedFigure), ...oneOf(all, (each) => folded(all.length > 1 || each.found.hypotheses.length > 12,
      "Each hypothesis with its nulls", carriedTable(each))));
}
