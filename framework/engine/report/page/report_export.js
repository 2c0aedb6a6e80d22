"use strict";
// `orrery export RUN --figures` opens the page as page.html#export=svg and reads the figures from the resulting HTML, one
// element for each, with its name and its bytes in base64.

async function exportOne(file, make, format, width, height) {
  const image = await figureImage(make, format, width, height);
  const [kind, content] = [image.slice(0, image.indexOf(",")), image.slice(image.indexOf(",") + 1)];
  const base64 = kind.endsWith(";base64") ? content : btoa(utf8Characters(decodeURIComponent(content)));
  return element("pre", {"data-file": `${file}.${format}`}, base64);
}

// The UTF-8 of a text, as one character per byte.
function utf8Characters(text) {
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join("");
}

// High enough for the plot and for its legend beside it.
const exportedHeight = (panel) => Math.max(230, panel.height || 0, 20 * panel.curves.length + 8);

async function exportFigures(format) {
  prepareSteps();
  const made = [];
  for (const panel of [...trainingPanels(), ...pageData.probes.flatMap(scalarPanels)]) {
    Object.assign(panel, {height: exportedHeight(panel)});
    const make = (size) => panelFigure(panel, size);
    made.push(await exportOne(preparePanel(panel).file, make, format, 720, panel.height + 100));
  }
  for (const probe of pageData.probes)
    for (const [figures, concluding] of [
      [probe.figures, false],
      [probe.concluding, true],
    ])
      for (const figure of figures) {
        Object.assign(figure, {file: `${probe.label}_${figure.name}`, concluding});
        for (const [step] of figure.frames) {
          Object.assign(scrubber, {steps: [step], index: 0});
          const width = isWide(figure) ? 900 : 560,
            make = (size) => figureAtStep(figure, size),
            {layout, file} = make({width});
          made.push(await exportOne(file, make, format, width, layout.height + 60));
        }
      }
  document.head.replaceChildren();
  document.body.replaceChildren(...made);
  document.documentElement.dataset.exported = String(made.length);
}
