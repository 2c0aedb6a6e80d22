"use strict";
// Assembles the page of one run.

function section(id, title, summary, ...children) {
  return element(
    "section",
    {id, "aria-labelledby": `${id}-title`},
    element(
      "header",
      {},
      element("h2", {id: `${id}-title`}, title),
      summary ? element("p", {className: "note"}, summary) : null,
    ),
    ...children,
  );
}

function probeSection(probe) {
  const scalars = scalarPanels(probe);
  const sections = [];
  if (probe.figures.length > 0)
    sections.push(
      element("div", {className: "grid"}, ...probe.figures.map((figure) => figureCard(figure, probe.label))),
    );
  if (probe.concluding.length > 0)
    sections.push(
      element(
        "div",
        {className: "grid"},
        ...probe.concluding.map((figure) => figureCard({...figure, concluding: true}, probe.label)),
      ),
    );
  if (scalars.length > 0) {
    const dashed = scalars.some(
      (panel) => panel.curves.length <= 6 && panel.curves.some((curve) => Number.isFinite(curve.null)),
    );
    sections.push(element("h3", {}, "Over training"));
    if (dashed) sections.push(element("p", {className: "note"}, "Dashed: the same of random weights."));
    sections.push(element("div", {className: "grid"}, ...scalars.map(curvePanel)));
  }
  return section(`probe-${probe.label}`, probe.label, probe.summary, ...sections);
}

function configSection() {
  return section(
    "config",
    "Config",
    null,
    pageData.differences.length > 0
      ? element("p", {className: "note"}, `Unlike the defaults: ${pageData.differences.join(" · ")}`)
      : null,
    element(
      "details",
      {},
      element("summary", {}, "The whole config"),
      element("pre", {className: "code scroll"}, JSON.stringify(pageData.config, null, 2)),
    ),
  );
}

function navigation(sections) {
  return element(
    "nav",
    {"aria-label": "Sections"},
    element(
      "div",
      {className: "links"},
      element("span", {className: "run"}, pageData.title),
      ...sections.map((one) => element("a", {href: `#${one.id}`}, one.querySelector("h2").textContent)),
    ),
    themeButton(),
  );
}

// Every step with something to show.
function prepareSteps() {
  const steps = new Set();
  for (const probe of pageData.probes)
    for (const figure of probe.figures) for (const [step] of figure.frames) steps.add(step);
  const ofCurves = (curves) =>
    curves.forEach((curve) => numbers(curve.steps).forEach((step) => steps.add(step)));
  if (steps.size === 0) pageData.probes.forEach((probe) => ofCurves(probe.curves));
  if (steps.size === 0) ofCurves(pageData.metrics);
  scrubber.steps = [...steps].sort((a, b) => a - b);
  if (scrubber.steps.length === 0) scrubber.steps = [0];
  let last = scrubber.steps.at(-1),
    firstPositive = Infinity;
  for (const curve of [...pageData.metrics, ...pageData.probes.flatMap((probe) => probe.curves)])
    for (const step of numbers(curve.steps)) {
      last = Math.max(last, step);
      if (step > 0) firstPositive = Math.min(firstPositive, step);
    }
  scrubber.lastStep = Math.max(last, 1);
  scrubber.firstPositive = Number.isFinite(firstPositive) ? firstPositive : 1;
  const asked = new URLSearchParams(location.hash.slice(1)).get("step");
  scrubber.index = asked === null ? scrubber.steps.length - 1 : nearestIndex(scrubber.steps, Number(asked));
}

function buildPage() {
  prepareSteps();
  const page = document.getElementById("page");
  const head = masthead(pageData.title, pageData.facts);
  head.querySelector("#theme")?.remove();
  if (pageData.differences.length > 0)
    head.firstChild.append(
      element("p", {className: "facts code"}, pageData.differences.slice(0, 8).join(" · ")),
    );
  const metrics = metricPanels(),
    progress = progressPanels();
  const training = section(
    "training",
    "Over training",
    null,
    headlineCards(),
    element(
      "div",
      {className: "tools"},
      timeAxisButton(),
      element(
        "span",
        {className: "note"},
        "Drag to zoom, double-click to see everything, click to go to a step.",
      ),
    ),
    ...[...metrics, ...progress].map(curvePanel),
    pageData.phases.length > 0 ? phasesTable() : null,
  );
  const sections = [
    training,
    ...pageData.probes
      .filter((probe) => probe.figures.length + probe.curves.length + probe.concluding.length > 0)
      .map(probeSection),
  ];
  if (findingRows().length > 0 || pageData.probes.some((probe) => probe.findings.length > 0))
    sections.push(section("findings", "Findings", null, findingsTable()));
  sections.push(configSection());
  page.append(head, navigation(sections), ...sections);
  if (pageData.notes.length > 0)
    page.append(
      element(
        "footer",
        {className: "note", id: "notes"},
        ...pageData.notes.map((text) => element("p", {}, text)),
      ),
    );
  const hasNull = pageData.probes.some((probe) => probe.figures.some((figure) => figure.null));
  page.append(scrubberBar(hasNull));
  onStep(() => panels.forEach(placeCursor));
  announceStep();
}

document.addEventListener("DOMContentLoaded", () => {
  const format = new URLSearchParams(location.hash.slice(1)).get("export");
  if (format) {
    exportFigures(format).catch((error) => {
      document.documentElement.dataset.failed = String(error);
    });
    return;
  }
  buildPage();
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
});
