"use strict";
// A reading against a key: a point for each run, and the median or the mean of each value with its interval.

// Evenly spaced, or where the numbers are. Numbers that span more than a factor of 20, or each a multiple of the one
// before, lie on a logarithmic axis.
function naturalScale(key) {
  if (key.numbers.length === 0 || key.name === "seed") return "even";
  const positive = key.numbers.filter((x) => x > 0), factors = positive.slice(1).map((x, i) => x / positive[i]);
  const wide = factors.length > 0 && positive.at(-1) / positive[0] >= 20;
  const geometric = factors.length > 1 && factors.every((factor) => Math.abs(factor / factors[0] - 1) < 0.02);
  return !wide && !geometric ? "linear" : positive.length === key.numbers.length ? "log" : "even";
}
function scaleOptions(key) {
  if (key.numbers.length === 0) return [];
  return [["even", "even"], ["linear", "linear"], ...(key.numbers.every((x) => x > 0) ? [["log", "log"]] : [])];
}
function keyAxis(key, scale, width) {
  if (scale === "even") {
    const most = Math.max(4, Math.floor(width / 46));
    return axisStyle(key.name, {...namedTicks(key.values, most), range: [-0.5, key.values.length - 0.5], showgrid: false});
  }
  const few = key.values.length <= 9 ? {tickmode: "array", tickvals: key.numbers, ticktext: key.values} : {};
  return axisStyle(key.name, {log: scale === "log", ...few});
}

// Between -1 and 1, the same for a run every time: from its id, which is a hash.
function jitterOf(run) {
  return (parseInt(run.id.slice(0, 6), 16) || 0) / 0xffffff * 2 - 1;
}

const estimatesOf = (reading, key, by) =>
  pageData.estimates.find((one) => one.reading === reading && one.key === key && one.by === by);

function estimateOf(group, statistic) {
  return statistic === "mean" ? {value: group.mean, band: group.mean_band, beyond: false}
    : {value: group.median, band: group.band, beyond: group.beyond};
}
function boundText(bound) {
  return Number.isFinite(bound) ? shown(bound) : "beyond the last step";
}
function estimateHover(group, statistic, name) {
  const {value, band, beyond} = estimateOf(group, statistic);
  return listedLines(name, `${statistic} ${beyond ? `beyond ${shown(value)}` : shown(value)}`,
    band ? `95 %: ${boundText(band[0])} to ${boundText(band[1])}` : "one run, no interval",
    `${plural(group.n, "run")}${group.never ? `, ${shown(group.never)} never` : ""}`);
}
const listedLines = (...lines) => lines.filter((line) => line).map(plain).join("<br>");

// Lists of neighbours that are all known: a band does not bridge a value of which nothing is known.
function stretches(list, isKnown) {
  const all = [[]];
  for (const one of list) isKnown(one) ? all.at(-1).push(one) : all.push([]);
  return all.filter((stretch) => stretch.length > 0);
}

// The traces of one group's estimates: the band below the points, the line above.
function estimateTraces({groups, statistic, at, ceiling, colour, ordered, name}) {
  const of = (group) => estimateOf(group, statistic), known = (group) => of(group).value !== null;
  if (!groups.some(known)) return {below: [], above: []};
  const bound = (group, side) => Math.min(of(group).band ? of(group).band[side] : of(group).value, ceiling);
  const line = {type: "scatter", x: groups.map(at), y: groups.map((group) => of(group).value), mode: ordered ? "lines+markers+text" : "markers+text",
    showlegend: false, legendgroup: name, text: groups.map((group) => (of(group).beyond ? "↑" : "")), textposition: "top center",
    textfont: {color: colour, size: 14}, line: {color: colour, width: 2},
    marker: {color: groups.map((group) => (of(group).beyond ? theme().paper : colour)), size: ordered ? 7 : 11,
      symbol: ordered ? "diamond" : "line-ew-open", line: {color: colour, width: 2}},
    hovertemplate: "%{customdata}<extra></extra>", customdata: groups.map((group) => estimateHover(group, statistic, name))};
  if (!ordered)
    return {below: [], above: [{...line, error_y: {type: "data", symmetric: false, color: colour, thickness: 1.5, width: 5,
      array: groups.map((group) => (known(group) ? bound(group, 1) - of(group).value : 0)),
      arrayminus: groups.map((group) => (known(group) ? of(group).value - bound(group, 0) : 0))}}]};
  const below = stretches(groups, known).filter((stretch) => stretch.length > 1).map((stretch) => ({
    type: "scatter", mode: "lines", x: [...stretch, ...[...stretch].reverse()].map(at),
    y: [...stretch.map((group) => bound(group, 1)), ...[...stretch].reverse().map((group) => bound(group, 0))],
    fill: "toself", fillcolor: faded(colour, 0.14), line: {width: 0}, hoverinfo: "skip", showlegend: false, legendgroup: name}));
  return {below, above: [line]};
}

function pointTraces(state, group, colours, at) {
  const seen = runs.map((run, index) => ({run, index, read: readingOf(run, state.reading)}))
    .filter(({run, read}) => read && colours.of(run) === group);
  const colour = colours.colour(group), name = colours.names[group];
  const trace = (censored) => {
    const some = seen.filter(({read}) => read.censored === censored);
    return {type: "scatter", mode: censored ? "markers+text" : "markers", name, legendgroup: name, showlegend: false,
      x: some.map(({run}) => at(run)), y: some.map(({read}) => read.value), ids: some.map(({run}) => run.id),
      text: censored ? some.map(() => "↑") : undefined, textposition: "top center", textfont: {color: colour, size: 13},
      marker: {symbol: censored ? "circle-open" : "circle", color: colour, opacity: (censored ? 1 : 0.75) * (runs.length > 300 ? 0.5 : 1),
        size: some.map(({index}) => (isChosen(index) ? 14 : runs.length > 300 ? 5 : 7)), line: {color: censored ? colour : theme().paper, width: censored ? 1.5 : 0.5}},
      meta: some.map(({index}) => index),
      customdata: some.map(({run}) => runHover(run, `${readings[state.reading].name} ${readingText(run, state.reading)}`)),
      hovertemplate: "%{customdata}<extra></extra>"};
  };
  return [trace(false), trace(true)].filter((one) => one.x.length > 0);
}

// A key to the colours that does not depend on which runs a figure draws.
function legendTraces(colours, present, symbol = "circle") {
  if (colours.names.length < 2) return [];
  return colours.names.map((name, i) => ({type: "scatter", mode: symbol === "line" ? "lines" : "markers", x: [null], y: [null], name,
    legendgroup: name, marker: {color: colours.colour(i), size: 8}, line: {color: colours.colour(i), width: 2}})).filter((_, i) => present(i));
}
const colourLegend = (colours) => ({...legendStyle(), title: {text: colours.title ? `${colours.title}  ` : "", font: {size: 11.5, color: theme().soft},
  side: window.innerWidth < 620 ? "top left" : "left"}});

function pointsFigure(state, width) {
  const key = keys[state.key] || allRuns, reading = readings[state.reading], colours = colouring(state.colour);
  const even = state.scale === "even", ordered = key.numbers.length > 0 && key.name !== "seed";
  const apart = typeof state.colour === "number" && state.colour !== state.key && estimatesOf(state.reading, state.key, state.colour);
  // Groups stand side by side, a little where the axis has numbers, and points a little apart.
  const n = apart ? colours.names.length : 1;
  const onAxis = state.scale === "log" ? Math.log10 : (x) => x, back = state.scale === "log" ? (x) => 10 ** x : (x) => x;
  const places = even ? key.values.map((_, i) => i) : key.numbers.map(onAxis);
  const gap = places.length < 2 ? 1 : Math.min(...places.slice(1).map((place, i) => place - places[i]));
  const room = (places.length < 2 ? 0.3 : even ? 0.8 : 0.22) * gap / n;
  const place = (value, group, jitter = 0) => back(places[value] + (apart ? (group - (n - 1) / 2) * room : 0) + jitter * room * 0.32);
  const at = (run) => place(keys[state.key] ? run.keys[state.key] : 0, colours.of(run), jitterOf(run));
  const known = runs.map((run) => readingOf(run, state.reading)).filter((read) => read);
  const ceiling = Math.max(...known.map(({value}) => value));
  const all = (apart || estimatesOf(state.reading, state.key, null)).groups, several = all.some((group) => group.n > 1);
  const points = [], below = [], above = [];
  colours.names.forEach((_, group) => points.push(...pointTraces(state, group, colours, at)));
  for (let group = 0; several && group < n; ++group) {
    const made = estimateTraces({statistic: state.statistic, ceiling, ordered,
      groups: apart ? all.filter((one) => one.by === group) : all, at: ({x}) => place(x, group),
      colour: apart ? colours.colour(group) : theme().ink, name: apart ? `${colours.title} ${colours.names[group]}` : ""});
    below.push(...made.below);
    above.push(...made.above);
  }
  const never = known.some(({censored}) => censored);
  return {
    file: key.name ? `${reading.name}-by-${key.name}` : reading.name, title: readingTitle(reading) + (key.name ? ` by ${key.name}` : " of all runs") + (apart ? `, apart by ${colours.title}` : ""),
    data: [...below, ...points, ...above, ...legendTraces(colours, (i) => runs.some((run) => colours.of(run) === i && readingOf(run, state.reading)))],
    layout: {height: 420, uirevision: JSON.stringify(state), legend: colourLegend(colours), showlegend: colours.names.length > 1,
      xaxis: keyAxis(key, state.scale, width - 80), yaxis: axisStyle(readingTitle(reading), {log: state.log})},
    pick: (point) => (point.data.meta ? [point.data.meta[point.pointNumber]] : null),
    note: [countText((run) => readingOf(run, state.reading)),
      several ? `${ordered ? "Line and band" : "Bars"}: ${state.statistic} and 95 % interval (bootstrap of the runs)${apart ? "" : ", of all runs"}.` : "One run each: nothing to estimate.",
      never ? "Open, with an arrow: it had not come by the last step." : "",
      never && state.statistic === "mean" ? "There is no mean where it never came in a run." : "",
      never && state.statistic === "median" ? "Those count in the median (Kaplan-Meier)." : ""].filter((part) => part).join(" "),
  };
}

function pointsSection() {
  if (readings.length === 0 || runs.every((run) => run.readings.length === 0)) return;
  const firstStep = readings.findIndex((reading) => reading.name.includes("grok"));
  const state = {reading: Math.max(0, firstStep), statistic: "median", log: false};
  state.key = keys.length > 0 && keys[0].name !== "seed" ? 0 : null;
  state.scale = naturalScale(keys[state.key] || allRuns);
  const other = keys.findIndex((key, i) => i > 0 && key.name !== "seed" && key.values.length <= mostColours);
  state.colour = other >= 0 ? other : classes.length ? "class" : null;
  const scales = element("span", {className: "holder"});
  const target = figureSection("points", "A reading against a key", readings.map(({name, what}) => `${name}: ${what}`).join(" · "), (redraw) => {
    const showScales = () => scales.replaceChildren(...[buttons("x axis", scaleOptions(keys[state.key] || allRuns), state.scale, (scale) => {
      state.scale = scale;
      redraw();
    })].filter((one) => one));
    showScales();
    return [
      menu("reading", readingMenu, state.reading, (reading) => { state.reading = reading; redraw(); }),
      menu("against", [...keyMenu, ["nothing", null]], state.key, (key) => { Object.assign(state, {key, scale: naturalScale(keys[key] || allRuns)}); showScales(); redraw(); }),
      menu("colour", colourMenu(), state.colour, (colour) => { state.colour = colour; redraw(); }),
      buttons("estimate", [["median", "median"], ["mean", "mean"]], state.statistic, (statistic) => { state.statistic = statistic; redraw(); }),
      logOrLinear("y axis", state.log, (log) => { state.log = log; redraw(); }), scales];
  }, ({width}) => pointsFigure(state, width));
  onChoice(() => updateFigure(target));
}
