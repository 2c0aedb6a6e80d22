"use strict";
// Two keys against each other: each cell is coloured by the share of its runs that are of a class, or by a median.

function shareCells(grid, chosen) {
  const name = classes[chosen].name;
  return grid.cells.map((cell) => {
    const share = cell.n ? cell.counts[chosen] / cell.n : null;
    return {...cell, z: share, long: share === null ? "" : `${share.toFixed(2)}<br>${cell.counts[chosen]} of ${cell.n}`,
      short: share === null ? "" : share.toFixed(2), lines: [
        cell.n ? `${name}: ${cell.counts[chosen]} of ${cell.n}, ${shown(share)}` : "no run is done",
        cell.n ? `95 %: ${shown(cell.low[chosen])} to ${shown(cell.high[chosen])} (Wilson)` : "",
        ...classes.map((other, i) => (i !== chosen && cell.counts[i] ? `${other.name}: ${cell.counts[i]}` : "")),
        cell.left ? `${cell.left} not done` : ""]};
  });
}

function medianCells(grid, reading) {
  const found = estimatesOf(reading, grid.x, grid.y);
  return grid.cells.map((cell) => {
    const group = found?.groups.find((one) => one.x === cell.x && one.by === cell.y);
    const text = group ? `${group.beyond ? "> " : ""}${shown(group.median)}` : "";
    return {...cell, z: group ? group.median : null, short: text, long: group ? `${text}<br>n ${group.n}` : "",
      lines: group ? estimateHover(group, "median", readings[reading].name).split("<br>") : ["no run has it"]};
  });
}

function gridFigure(state, width) {
  const grid = pageData.grids.find((one) => one.x === state.x && one.y === state.y), x = keys[state.x], y = keys[state.y];
  const [kind, chosen] = state.measure, ofClass = kind === "class";
  const cells = ofClass ? shareCells(grid, chosen) : medianCells(grid, chosen);
  const matrix = (value, empty = null) => y.values.map((_, row) => x.values.map((_, column) => {
    const cell = cells.find((one) => one.x === column && one.y === row);
    return cell ? value(cell) : empty;
  }));
  const room = (width - 190) / x.values.length;
  const text = room > 54 ? (cell) => cell.long : room > 34 ? (cell) => cell.short : null;
  const title = ofClass ? `share of runs of class ${classes[chosen].name}` : `median of ${readingTitle(readings[chosen])}`;
  const ticks = (key) => ({...namedTicks(key.values, 24), showgrid: false, showline: false, ticks: ""});
  const colours = theme();
  return {
    file: `${ofClass ? classes[chosen].name : readings[chosen].name}-grid`, title: `${title[0].toUpperCase()}${title.slice(1)}, by ${x.name} and ${y.name}`,
    data: [{type: "heatmap", x: x.values.map((_, i) => i), y: y.values.map((_, i) => i), z: matrix((cell) => cell.z), xgap: 2, ygap: 2,
      ...(ofClass ? {zmin: 0, zmax: 1, colorscale: shareScale()} : {colorscale: rampScale()}),
      text: text ? matrix(text, "") : undefined, texttemplate: text ? "%{text}" : undefined, textfont: {size: room > 54 ? 12 : 10.5},
      customdata: matrix((cell) => [`<b>${plain(`${x.name} ${x.values[cell.x]}, ${y.name} ${y.values[cell.y]}`)}</b>`,
        ...cell.lines.filter((line) => line).map(plain)].join("<br>")),
      hovertemplate: "%{customdata}<extra></extra>", hoverongaps: false,
      colorbar: {title: {text: title, side: "right", font: {size: 11.5, color: colours.soft}}, thickness: 10, outlinewidth: 0, len: 1,
        tickfont: {size: 11, color: colours.soft}}}],
    layout: {height: 120 + Math.max(130, 52 * y.values.length), plot_bgcolor: colours.grid, margin: {l: 60, r: 10, t: 14, b: 50},
      xaxis: axisStyle(x.name, {...ticks(x), range: [-0.5, x.values.length - 0.5]}),
      yaxis: axisStyle(y.name, {...ticks(y), range: [-0.5, y.values.length - 0.5]})},
    pick: (point) => runs.map((_, i) => i).filter((i) => runs[i].keys[state.x] === point.x && runs[i].keys[state.y] === point.y),
    note: (ofClass ? "Of runs that are done or diverged; one that diverged is of the class of all others, if there is one. " : "Kaplan-Meier medians. ") +
      "Grey: no run. Click a cell for its runs.",
  };
}

function gridSection() {
  if (!pageData.grids.some(({cells}) => cells.some(({n}) => n > 0))) return;
  const measures = [...classes.map(({name}, i) => [`share: ${name}`, ["class", i]]),
    ...readings.map(({name}, i) => [`median: ${name}`, ["reading", i]])];
  if (measures.length === 0) return;
  const pairs = pageData.grids.map(({x, y}) => [`${keys[x].name} by ${keys[y].name}`, [x, y]]);
  const state = {measure: measures[0][1], x: pairs[0][1][0], y: pairs[0][1][1]};
  figureSection("grid", "Two keys", classes.map(({name, if: condition}) => `${name}: ${condition}`).join(" · "), (redraw) => [
    menu("colour", measures, state.measure, (measure) => { state.measure = measure; redraw(); }),
    menu("axes", pairs, pairs[0][1], ([x, y]) => { Object.assign(state, {x, y}); redraw(); }),
  ], ({width}) => gridFigure(state, width));
}
