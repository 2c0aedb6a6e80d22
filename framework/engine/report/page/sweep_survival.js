"use strict";
// The share of runs to which something has not happened yet, step by step: the Kaplan-Meier estimate.

function survivalHover(group, i, name) {
  const band = group.low[i] === null ? "" : `95 %: ${shown(group.low[i])} to ${shown(group.high[i])}`;
  return listedLines(name, `from step ${shown(group.steps[i])}: ${shown(group.shares[i])} not yet`, band,
    listed([`${shown(group.at_risk[i])} watched before`, group.events[i] ? `${shown(group.events[i])} came` : "",
      group.censored[i] ? `${shown(group.censored[i])} ended without it` : ""]));
}

function survivalTraces(group, colour, name, withBand) {
  const x = [0, ...group.steps], shares = [1, ...group.shares], made = [];
  const hovers = group.steps.map((_, i) => survivalHover(group, i, name));
  const step = {type: "scatter", x, mode: "lines", line: {color: colour, width: 2, shape: "hv"}, legendgroup: name, showlegend: false};
  if (withBand) {
    // Where the share is 0 or 1 the variance, and with it the band, is unknown.
    const edge = (list) => [1, ...list.map((bound, i) => bound ?? (group.shares[i] === 1 ? 1 : 0))];
    const border = {...step, line: {color: colour, width: 0, shape: "hv"}, hoverinfo: "skip"};
    made.push({...border, y: edge(group.low)}, {...border, y: edge(group.high), fill: "tonexty", fillcolor: faded(colour, 0.13)});
  }
  made.push({...step, y: shares, customdata: ["no step yet", ...hovers], hovertemplate: "%{customdata}<extra></extra>", meta: group.value});
  const ended = group.steps.map((_, i) => i).filter((i) => group.censored[i] > 0);
  made.push({type: "scatter", mode: "markers", x: ended.map((i) => group.steps[i]), y: ended.map((i) => group.shares[i]), legendgroup: name,
    showlegend: false, marker: {symbol: "cross-thin-open", size: 11, color: colour, line: {color: colour, width: 2}},
    customdata: ended.map((i) => hovers[i]), hovertemplate: "%{customdata}<extra></extra>", meta: group.value});
  return made;
}

function survivalFigure(state) {
  const reading = readings[state.reading];
  const found = pageData.survival.find((one) => one.reading === state.reading && one.key === state.by);
  const colours = colouring(state.by), data = [];
  for (const group of found.groups) {
    const i = group.value ?? 0, name = state.by === null ? "all runs" : `${colours.title} ${colours.names[i]}`;
    data.push(...survivalTraces(group, colours.colour(i), name, found.groups.length <= 3));
  }
  if (state.by !== null)
    data.push(...legendTraces(colours, (i) => found.groups.some(({value}) => value === i), "line"));
  const never = found.groups.reduce((sum, group) => sum + group.never, 0);
  return {
    file: `${reading.name}-survival`, title: `Share of runs without ${reading.name} so far${state.by === null ? "" : `, by ${colours.title}`}`, data,
    layout: {height: 400, uirevision: JSON.stringify(state), showlegend: state.by !== null, legend: colourLegend(colours),
      xaxis: axisStyle("step", {log: state.log, ...(state.log ? {} : {rangemode: "tozero"})}),
      yaxis: axisStyle(`share not yet: ${reading.name}`, {range: [-0.02, 1.03]})},
    pick: (point) => runs.map((_, i) => i).filter((i) => readingOf(runs[i], state.reading) &&
      (state.by === null || runs[i].keys[state.by] === point.data.meta)),
    note: [countText((run) => readingOf(run, state.reading)), `Crosses: runs that ended without it (${shown(never)}).`,
      found.groups.length <= 3 ? "Bands: 95 %, pointwise (Greenwood)." : "The hover has the 95 % intervals (Greenwood)."].join(" "),
  };
}

function survivalSection() {
  if (pageData.survival.length === 0) return;
  const available = [...new Set(pageData.survival.map(({reading}) => reading))];
  const groups = [["nothing", null], ...keyMenu.filter(([, key]) => pageData.survival.some((one) => one.key === key))];
  const grok = available.find((reading) => readings[reading].name.includes("grok"));
  const state = {reading: grok ?? available[0], by: groups[1]?.[1] ?? null, log: false};
  figureSection("survival", "Survival", "The share of runs to which it has not happened yet. Kaplan-Meier estimate: runs that ended without it count as long as they were watched.", (redraw) => [
    menu("reading", available.map((i) => [readings[i].name, i]), state.reading, (reading) => { state.reading = reading; redraw(); }),
    menu("apart by", groups, state.by, (by) => { state.by = by; redraw(); }),
    logOrLinear("x axis", state.log, (log) => { state.log = log; redraw(); }),
  ], () => survivalFigure(state));
}
