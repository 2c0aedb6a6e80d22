"use strict";
// The figures of a run as images, by the names of their files: curves_loss, neuron_waves_phases.

// High enough for the plot and for its legend beside it.
const exportedHeight = (panel) => Math.max(230, panel.height || 0, 20 * panel.curves.length + 8);

function exportedPanel(panel) {
  return {
    name: panel.file,
    prepared: (width = 720) => {
      Object.assign(panel, {height: exportedHeight(panel)});
      const {file, height} = preparePanel(panel);
      return [{file, make: (size) => panelFigure(panel, size), width, height: height + 100}];
    },
  };
}

// At every step that the page has of it.
function exportedFigure(probe, figure, concluding) {
  const name = `${probe.label}_${figure.name}`;
  const atStep = ([step], asked) => {
    const make = (size) => {
      Object.assign(scrubber, {steps: [step], index: 0});
      return figureAtStep(figure, size);
    };
    const width = isWide(figure) ? 900 : asked || 560,
      {layout, file} = make({width});
    return {file, make, width, height: layout.height + 60};
  };
  return {
    name,
    prepared: (width) => {
      Object.assign(figure, {file: name, concluding});
      return figure.frames.map((frame) => atStep(frame, width));
    },
  };
}

function runFigures() {
  prepareSteps();
  const panels = [...trainingPanels(), ...pageData.probes.flatMap(scalarPanels)];
  return [
    ...panels.map(exportedPanel),
    ...pageData.probes.flatMap((probe) => [
      ...probe.figures.map((figure) => exportedFigure(probe, figure, false)),
      ...probe.concluding.map((figure) => exportedFigure(probe, figure, true)),
    ]),
  ];
}
