"use strict";
// Two readings against each other, with iso-lines of a third.

const fewestForLines = 12; // runs with all three readings
const lineWidth = 0.14; // of the weights, as a share of each axis

// The third reading between the runs: at each place the mean of all runs with Gaussian weights, only where some run is near.
function smoothed(points, log) {
  const scaled = (axis) => {
    const values = points.map((point) => (log[axis] ? Math.log10(point[axis]) : point[axis]));
    const low = Math.min(...values), high = Math.max(...values);
    return {values: values.map((value) => (value - low) / (high - low)), back: (share) => {
      const value = low + share * (high - low);
      return log[axis] ? 10 ** value : value;
    }};
  };
  const x = scaled("x"), y = scaled("y"), n = 48, at = Array.from({length: n}, (_, i) => i / (n - 1));
  const z = at.map((row) => at.map((column) => {
    let weights = 0, sum = 0, most = 0;
    points.forEach((point, i) => {
      const weight = Math.exp(-((x.values[i] - column) ** 2 + (y.values[i] - row) ** 2) / (2 * lineWidth ** 2));
      weights += weight;
      sum += weight * point.z;
      most = Math.max(most, weight);
    });
    return most > 0.2 ? sum / weights : null;
  }));
  return {x: at.map(x.back), y: at.map(y.back), z};
}

// The trace of the iso-lines, or why there are none.
function isoLines(state) {
  const both = {x: state.logX, y: state.logY};
  let points = runs.map((run) => ({x: readingOf(run, state.x), y: readingOf(run, state.y), z: readingOf(run, state.third)}))
    .filter(({x, y, z}) => x && y && z && !x.censored && !y.censored && !z.censored)
    .map(({x, y, z}) => ({x: x.value, y: y.value, z: z.value}))
    .filter(({x, y}) => (!both.x || x > 0) && (!both.y || y > 0));
  const different = (axis) => new Set(points.map((point) => point[axis])).size;
  if (points.length < fewestForLines || different("x") < 4 || different("y") < 4 || different("z") < 2)
    return {why: `Too few different runs have all three readings (${shown(points.length)}, at least ${fewestForLines}) for iso-lines.`};
  const values = points.map(({z}) => z), decades = Math.min(...values) > 0 && Math.max(...values) / Math.min(...values) > 100;
  if (decades) points = points.map((point) => ({...point, z: Math.log10(point.z)}));
  const name = `${decades ? "log10 of " : ""}${readingTitle(readings[state.third])}`;
  return {name, trace: {type: "contour", ...smoothed(points, both), contours: {coloring: "lines", showlabels: true, labelfont: {size: 11, color: theme().soft}},
    ncontours: 8, colorscale: rampScale(), line: {width: 1.2, smoothing: 0.8}, hoverinfo: "skip", connectgaps: false,
    colorbar: {title: {text: name, side: "right", font: {size: 11.5, color: theme().soft}}, thickness: 10, outlinewidth: 0, tickfont: {size: 11, color: theme().soft}}}};
}

function scatterTraces(state, group, colours) {
  const seen = runs.map((run, index) => ({run, index, x: readingOf(run, state.x), y: readingOf(run, state.y)}))
    .filter(({run, x, y}) => x && y && colours.of(run) === group);
  const colour = colours.colour(group);
  return [false, true].map((open) => {
    const some = seen.filter(({x, y}) => (x.censored || y.censored) === open);
    return {type: "scatter", mode: open ? "markers+text" : "markers", name: colours.names[group], legendgroup: colours.names[group], showlegend: false,
      x: some.map(({x}) => x.value), y: some.map(({y}) => y.value), meta: some.map(({index}) => index),
      text: some.map(({x, y}) => (x.censored && y.censored ? "↗" : x.censored ? "→" : "↑")),
      textposition: some.map(({x, y}) => (x.censored && y.censored ? "top right" : x.censored ? "middle right" : "top center")),
      textfont: {color: colour, size: 13},
      marker: {symbol: open ? "circle-open" : "circle", color: colour, opacity: open ? 1 : 0.8, size: some.map(({index}) => (isChosen(index) ? 15 : 8)),
        line: {color: open ? colour : theme().paper, width: open ? 1.5 : 0.5}},
      customdata: some.map(({run}) => runHover(run, ...[state.x, state.y, state.third].filter((one, i, all) => one !== null && all.indexOf(one) === i)
        .map((one) => `${readings[one].name} ${readingText(run, one)}`))),
      hovertemplate: "%{customdata}<extra></extra>"};
  }).filter((one) => one.x.length > 0);
}

function scatterFigure(state) {
  const x = readings[state.x], y = readings[state.y], colours = colouring(state.colour);
  const lines = state.third === null ? null : isoLines(state);
  const both = (run) => readingOf(run, state.x) && readingOf(run, state.y);
  const open = runs.some((run) => both(run) && (readingOf(run, state.x).censored || readingOf(run, state.y).censored));
  return {
    file: `${y.name}-by-${x.name}`, title: `${readingTitle(y)} against ${readingTitle(x)}${lines?.trace ? `, with lines of equal ${lines.name}` : ""}`,
    data: [...(lines?.trace ? [lines.trace] : []), ...colours.names.flatMap((_, group) => scatterTraces(state, group, colours)),
      ...legendTraces(colours, (group) => runs.some((run) => both(run) && colours.of(run) === group))],
    layout: {height: 440, uirevision: JSON.stringify(state), showlegend: colours.names.length > 1, legend: colourLegend(colours),
      xaxis: axisStyle(readingTitle(x), {log: state.logX}), yaxis: axisStyle(readingTitle(y), {log: state.logY})},
    pick: (point) => (point.data.meta ? [point.data.meta[point.pointNumber]] : null),
    note: [countText(both), open ? "Open, with an arrow: what had not come by the last step lies further that way." : "",
      lines?.trace ? `Lines of equal ${lines.name}: the mean over the runs with Gaussian weights (${Math.round(100 * lineWidth)} % of each axis wide), where a run is near.` : lines?.why || "",
    ].filter((part) => part).join(" "),
  };
}

// Losses, and what spans more than two decades, lie on a logarithmic axis.
function wantsLog(reading) {
  const values = runs.map((run) => readingOf(run, reading)?.value).filter((value) => value !== undefined);
  return values.length > 0 && Math.min(...values) > 0 && Math.max(...values) / Math.min(...values) > 100;
}

function scatterSection() {
  if (readings.length < 2 || runs.every((run) => run.readings.length === 0)) return;
  const grok = Math.max(0, readings.findIndex((reading) => reading.name.includes("grok")));
  const other = readings.findIndex((_, i) => i > grok) >= 0 ? grok + 1 : grok - 1;
  const state = {x: grok, y: other, third: null, colour: colourMenu()[0][1], logX: wantsLog(grok), logY: wantsLog(other)};
  const scales = element("span", {className: "holder"});
  const target = figureSection("scatter", "Two readings", null, (redraw) => {
    const showScales = () => scales.replaceChildren(
      logOrLinear("x axis", state.logX, (log) => { state.logX = log; redraw(); }),
      logOrLinear("y axis", state.logY, (log) => { state.logY = log; redraw(); }));
    showScales();
    return [
      menu("x", readingMenu, state.x, (x) => { Object.assign(state, {x, logX: wantsLog(x)}); showScales(); redraw(); }),
      menu("y", readingMenu, state.y, (y) => { Object.assign(state, {y, logY: wantsLog(y)}); showScales(); redraw(); }),
      menu("colour", colourMenu(), state.colour, (colour) => { state.colour = colour; redraw(); }),
      menu("iso-lines", [["none", null], ...readingMenu], null, (third) => { state.third = third; redraw(); }), scales];
  }, () => scatterFigure(state));
  onChoice(() => updateFigure(target));
}
