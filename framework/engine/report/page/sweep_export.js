"use strict";
// The figures of a sweep as images. Their names say what they draw: points/READING/KEY, grid/CLASS/KEY/KEY, curves/METRIC,
// survival/READING/KEY, scatter/READING/READING.

const ownKeys = () => keys.map((key, i) => [key, i]).filter(([key]) => key.name !== "seed");

function exportedSweepFigure(name, make) {
  return {
    name,
    prepared: (width = 640) => {
      const {layout} = make({width, image: true});
      return [{file: name, make, width, height: layout.height + (layout.showlegend ? 10 : 0)}];
    },
  };
}

// A colour for a second key, else for the class.
function colourBeside(key) {
  const other = keys.findIndex((one, i) => i !== key && one.name !== "seed" && one.values.length <= mostColours);
  return other >= 0 ? other : classes.length ? "class" : null;
}

function pointsToExport() {
  const against = ownKeys().length ? ownKeys() : [[allRuns, null]];
  return readings.filter((_, i) => runs.some((run) => readingOf(run, i))).flatMap((reading) =>
    against.filter(([, key]) => estimatesOf(readings.indexOf(reading), key, null)).map(([key, index]) => {
      const state = {reading: readings.indexOf(reading), key: index, statistic: "median", log: wantsLog(readings.indexOf(reading)),
        scale: naturalScale(key), colour: colourBeside(index)};
      return exportedSweepFigure(["points", reading.name, key.name].filter((part) => part).join("/"), ({width}) => pointsFigure(state, width));
    }));
}

function gridsToExport() {
  const measures = [...classes.map(({name}, i) => [name, ["class", i]]), ...readings.map(({name}, i) => [name, ["reading", i]])];
  return pageData.grids.flatMap(({x, y}) => measures.map(([name, measure]) =>
    exportedSweepFigure(`grid/${name}/${keys[x].name}/${keys[y].name}`, ({width}) => gridFigure({measure, x, y}, width))));
}

function curvesToExport() {
  return pageData.metrics.map(({name}, metric) => exportedSweepFigure(`curves/${name}`, () =>
    curvesFigure({metric, colour: colourMenu()[0][1], log: unitOf(name) === "nats", logSteps: false})));
}

function survivalToExport() {
  return pageData.survival.map(({reading, key}) => exportedSweepFigure(
    ["survival", readings[reading].name, key === null ? "" : keys[key].name].filter((part) => part).join("/"),
    () => survivalFigure({reading, by: key, log: false})));
}

function scattersToExport() {
  const pairs = readings.flatMap((_, x) => readings.map((_, y) => [x, y])).filter(([x, y]) => x !== y);
  return pairs.map(([x, y]) => exportedSweepFigure(`scatter/${readings[x].name}/${readings[y].name}`, () =>
    scatterFigure({x, y, third: null, colour: colourMenu()[0][1], logX: wantsLog(x), logY: wantsLog(y)})));
}

const sweepFigures = () => [...pointsToExport(), ...gridsToExport(), ...curvesToExport(), ...survivalToExport(), ...scattersToExport()];
