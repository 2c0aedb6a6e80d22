"use strict";
// The figures of a comparison: each returns {data, layout, file} for addFigure().

const runNames = pageData.runs.map((run) => run.name);
const pairOf = (a, b) => pageData.pairs.find((pair) => pair.a === Math.min(a, b) && pair.b === Math.max(a, b));

// The left margin of an axis with names for labels, on a narrow page at most a third of it.
const roomFor = (names) =>
  Math.min(260, window.innerWidth / 3, 24 + 6.4 * Math.max(...names.map((name) => name.length)));
const isNarrow = () => window.innerWidth < 620;

// An axis of named rows. On a narrow page each name stands above its row, inside the plot.
function rowAxis(names, more = {}) {
  const axis = axisStyle("", {tickmode: "array", tickvals: names.map((_, i) => i), ticktext: names, showline: false,
    ticks: "", range: [names.length - 0.5, isNarrow() ? -0.9 : -0.5], ...more});
  return isNarrow() ? {...axis, showticklabels: false} : axis;
}
function rowNames(names) {
  if (!isNarrow()) return [];
  return names.map((name, i) => ({text: name, x: 0, xref: "paper", y: i - 0.28, xanchor: "left", yanchor: "bottom",
    showarrow: false, font: {size: 10.5, color: theme().soft}}));
}
const roomForRows = (names) => (isNarrow() ? 12 : roomFor(names) + 60);

function colourBarStyle(title) {
  return {title: {text: title, side: "right", font: {size: 11.5, color: theme().soft}}, thickness: 10, outlinewidth: 0,
    len: 0.9, tickfont: {size: 11, color: theme().soft}};
}

function sequentialScale() {
  const stops = theme().diverging.slice(5);
  return stops.map((colour, i) => [i / (stops.length - 1), colour]);
}

// The matrix of a number for each pair of runs, in the order of the tree; null if missing.
function pairHeatmap(value, title, scale, hover, file) {
  const order = pageData.order, names = order.map((i) => runNames[i]);
  const z = order.map((a) => order.map((b) => value(a, b)));
  const text = z.map((row) => row.map((x) => (Number.isFinite(x) ? x.toFixed(2) : "–")));
  const positions = names.map((_, i) => i);
  const axis = {tickmode: "array", tickvals: positions, ticktext: names, showline: false, ticks: "", showgrid: false};
  return {
    file,
    data: [{
      type: "heatmap", x: positions, y: positions, z, zmin: 0, zmax: 1, colorscale: sequentialScale(), xgap: 1, ygap: 1,
      text: names.length <= 12 ? text : undefined, texttemplate: names.length <= 12 ? "%{text}" : undefined,
      customdata: order.map((a) => order.map((b) => hover(a, b))), hovertemplate: "%{customdata}<extra></extra>",
      hoverongaps: true, colorbar: colourBarStyle(scale),
    }],
    layout: {
      height: 130 + Math.max(90, 34 * names.length), margin: {l: roomFor(names), r: 10, t: 34, b: 90},
      title: {text: title, font: {size: 13}, x: 0, xanchor: "left"},
      xaxis: axisStyle("", {...axis, tickangle: names.length > 3 ? -35 : 0}),
      yaxis: axisStyle("", {...axis, autorange: "reversed"}),
    },
  };
}

function distanceFigure() {
  return pairHeatmap((a, b) => (a === b ? 0 : pairOf(a, b).distance), "Distance of the circuits", "distance", (a, b) => {
    if (a === b) return runNames[a];
    const pair = pairOf(a, b), both = `${runNames[a]}, ${runNames[b]}<br>`;
    return pair.distance === null ? `${both}not comparable: ${pair.not_comparable}`
      : `${both}${shown(pair.distance)} over ${pair.n_features} features in ${pair.n_groups} groups`;
  }, "distances");
}

// The coordinates of each cluster: its height, and its position on the axis of the runs.
function clusterPlaces() {
  const n = runNames.length, places = [];
  for (let i = 0; i < n; ++i) places.push({height: 0, at: pageData.order.indexOf(i)});
  for (const merge of pageData.tree)
    places.push({height: merge.height, at: (places[merge.a].at + places[merge.b].at) / 2});
  return places;
}

function treeFigure() {
  const colours = theme(), places = clusterPlaces(), n = runNames.length, x = [], y = [];
  pageData.tree.forEach((merge, i) => {
    const a = places[merge.a], b = places[merge.b], h = places[n + i].height;
    x.push(a.height, h, h, b.height, null);
    y.push(a.at, a.at, b.at, b.at, null);
  });
  const names = pageData.order.map((i) => runNames[i]);
  return {
    file: "tree",
    data: [{type: "scatter", mode: "lines", x, y, line: {color: colours.ink, width: 1.4}, hoverinfo: "skip"},
      {type: "scatter", mode: "markers", x: pageData.tree.map((merge) => merge.height),
        y: pageData.tree.map((_, i) => places[n + i].at), marker: {size: 6, color: colours.ink},
        hovertemplate: "distance %{x:.3f}<extra></extra>"}],
    layout: {
      height: 130 + Math.max(90, 34 * n), showlegend: false, margin: {l: roomFor(names), r: 16, t: 34, b: 50},
      title: {text: "Tree by average linkage", font: {size: 13}, x: 0, xanchor: "left"},
      xaxis: axisStyle("distance at which branches meet", {rangemode: "tozero"}),
      yaxis: axisStyle("", {tickmode: "array", tickvals: names.map((_, i) => i), ticktext: names, showline: false,
        ticks: "", showgrid: false, range: [n - 0.5, -0.5]}),
    },
  };
}

function sharesFigure(row) {
  return {
    file: "shares",
    data: row.values.map((value, i) => (value && value.parts.length ? {
      type: "bar", name: runNames[i], x: value.parts.map((_, rank) => rank + 1), y: value.parts,
      marker: {color: lineColour(i)}, hovertemplate: `%{y:.3f}<extra>${runNames[i]}: ${value.shown}</extra>`,
    } : null)).filter((trace) => trace),
    layout: {
      height: 300, barmode: "group", showlegend: true,
      xaxis: axisStyle("rank of the key, largest share first", {dtick: 1, showgrid: false}),
      yaxis: axisStyle("share of what the keys hold", {rangemode: "tozero"}),
    },
  };
}

// A loss as a share of the loss of guessing; other counted features unchanged.
function scaledValue(row, feature, run) {
  if (!feature || !Number.isFinite(feature.value)) return null;
  return row.scale === "loss" ? Math.min(1, Math.max(0, feature.value / pageData.runs[run].guessing)) : feature.value;
}

function dotsFigure() {
  const rows = pageData.features.filter((row) => row.scale === "share" || row.scale === "loss");
  const most = isNarrow() ? 46 : 58;
  const full = rows.map((row) => (row.name.startsWith(row.group) ? row.name : `${row.group}: ${row.name}`)),
    names = full.map((name) => (name.length > most ? `${name.slice(0, most)}…` : name));
  const colours = theme();
  const trace = (run, which, marker, more) => ({
    type: "scatter", mode: "markers", name: runNames[run], legendgroup: String(run),
    x: rows.map((row) => scaledValue(row, row[which][run], run)), y: rows.map((_, i) => i),
    customdata: rows.map((row) => row[which][run] && shown(row[which][run].value)), marker, ...more,
  });
  const data = [];
  runNames.forEach((name, run) => {
    data.push(trace(run, "nulls", {size: 8, symbol: "circle-open", color: lineColour(run), opacity: 0.75},
      {showlegend: false, hovertemplate: `%{customdata}<extra>${name}, random weights</extra>`}));
    data.push(trace(run, "values", {size: 9, color: lineColour(run), line: {width: 1, color: colours.paper}},
      {hovertemplate: `%{customdata}<extra>${name}</extra>`}));
  });
  // A null may be negative: what is left of zero is drawn as well.
  const drawn = data.flatMap(({x}) => x).filter(Number.isFinite);
  return {
    file: "features", data,
    layout: {
      height: 110 + (isNarrow() ? 34 : 22) * rows.length, margin: {l: roomForRows(names), r: 16, t: 50, b: 44},
      annotations: rowNames(names),
      xaxis: axisStyle("value; losses as a share of guessing", {range: padded(Math.min(0, ...drawn), Math.max(1, ...drawn))}),
      yaxis: rowAxis(names),
    },
  };
}

function sitesWithActivations() {
  const all = new Set();
  for (const pair of pageData.pairs) for (const site of pair.activations?.sites || []) all.add(site.site);
  return [...all].sort();
}
function siteOf(a, b, name) {
  return pairOf(a, b)?.activations?.sites.find((site) => site.site === name);
}

function ckaHeatmap(name) {
  return pairHeatmap((a, b) => (a === b ? 1 : siteOf(a, b, name)?.cka ?? null), `Linear CKA of ${name}`, "linear CKA", (a, b) => {
    if (a === b) return runNames[a];
    const both = `${runNames[a]}, ${runNames[b]}<br>`, site = siteOf(a, b, name);
    return both + (site ? `CKA ${shown(site.cka)} (null ${shown(site.cka_null)})`
      : `no common inputs: ${pairOf(a, b).activations?.why_not || "not looked at"}`);
  }, `cka-${name}`);
}

function ckaDots() {
  const sites = sitesWithActivations(), positions = sites.map((_, i) => i), data = [];
  pageData.pairs.forEach((pair, i) => {
    if (!pair.activations?.sites.length) return;
    const name = `${runNames[pair.a]}, ${runNames[pair.b]}`;
    const at = (key) => sites.map((site) => siteOf(pair.a, pair.b, site)?.[key] ?? null);
    data.push({type: "scatter", mode: "markers", name: "random weights", x: at("cka_null"), y: positions,
      marker: {size: 9, symbol: "circle-open", color: lineColour(i)}, showlegend: i === 0,
      hovertemplate: "%{x:.3f}<extra>null</extra>"});
    data.push({type: "scatter", mode: "markers", name, x: at("cka"), y: positions,
      marker: {size: 10, color: lineColour(i)}, hovertemplate: "%{x:.3f}<extra></extra>"});
  });
  return {
    file: "cka", data,
    layout: {
      height: 120 + 34 * sites.length, margin: {l: roomForRows(sites), r: 16, t: 40, b: 44}, annotations: rowNames(sites),
      xaxis: axisStyle("linear CKA", {range: [-0.03, 1.03]}),
      yaxis: rowAxis(sites),
    },
  };
}

function curvesFigure(quantity, byFraction) {
  const data = [];
  pageData.runs.forEach((run, i) => {
    for (const set of ["train", "test"]) {
      const x = run.curves.step.map((step) => (byFraction ? step / Math.max(1, run.last_step) : step));
      data.push({type: "scatter", mode: "lines", name: set === "test" ? run.name : `${run.name}, train`,
        showlegend: set === "test", x, y: run.curves[`${set}/${quantity}`],
        line: {color: lineColour(i), width: set === "test" ? 1.8 : 1, dash: set === "test" ? "solid" : "dot"},
        opacity: set === "test" ? 1 : 0.65, hovertemplate: `%{y:.3g}<extra>${run.name}, ${set}</extra>`});
    }
  });
  const labels = new Set(pageData.runs.map((run) => lossLabel(run.loss))),
    lossOfAll = labels.size === 1 ? [...labels][0] : "loss";
  return {
    file: `${quantity}-curves`, data,
    layout: {
      height: 380, xaxis: axisStyle(byFraction ? "fraction of training" : "step"),
      yaxis: axisStyle(quantity === "loss" ? lossOfAll : "accuracy", {log: quantity === "loss"}),
    },
  };
}
