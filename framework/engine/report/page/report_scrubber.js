"use strict";
// The scrubber: one step for the whole page, and its listeners.

const scrubber = {steps: [], index: 0, playing: false, perStep: false, showNull: false};
const stepListeners = [];
let announced = false;

function currentStep() {
  return scrubber.steps[scrubber.index] ?? 0;
}
function onStep(listener) {
  stepListeners.push(listener);
}

// Listeners are called once for each frame of the screen, however often the slider moves.
function announceStep() {
  if (announced) return;
  announced = true;
  requestAnimationFrame(() => {
    announced = false;
    for (const listener of stepListeners) listener();
  });
}

function chooseIndex(index) {
  scrubber.index = Math.min(Math.max(index, 0), scrubber.steps.length - 1);
  announceStep();
}

// The index of the value nearest to `step` in an ascending list.
function nearestIndex(steps, step) {
  let low = 0,
    high = steps.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle] < step) low = middle + 1;
    else high = middle;
  }
  return low > 0 && step - steps[low - 1] <= steps[low] - step ? low - 1 : low;
}
function chooseStep(step) {
  chooseIndex(nearestIndex(scrubber.steps, step));
}

function play() {
  scrubber.playing = !scrubber.playing;
  if (scrubber.playing && scrubber.index === scrubber.steps.length - 1) chooseIndex(0);
  announceStep();
  const pause = window.matchMedia("(prefers-reduced-motion: reduce)").matches ? 800 : 90;
  const next = () => {
    if (!scrubber.playing) return;
    if (scrubber.index >= scrubber.steps.length - 1) scrubber.playing = false;
    else chooseIndex(scrubber.index + 1);
    announceStep();
    setTimeout(next, pause);
  };
  setTimeout(next, pause);
}

function toggle(name, label, title) {
  const button = element(
    "button",
    {
      type: "button",
      id: name,
      title,
      "aria-pressed": "false",
      onclick: () => {
        scrubber[name] = !scrubber[name];
        button.setAttribute("aria-pressed", String(scrubber[name]));
        announceStep();
      },
    },
    label,
  );
  return button;
}

function scrubberBar(hasNull) {
  const last = scrubber.steps.at(-1);
  const slider = element("input", {
    type: "range",
    id: "slider",
    min: 0,
    max: scrubber.steps.length - 1,
    step: 1,
    "aria-label": "Step of training",
    oninput: () => chooseIndex(slider.valueAsNumber),
  });
  const button = element("button", {type: "button", id: "play", onclick: play});
  const label = element("output", {id: "step", htmlFor: "slider"});
  onStep(() => {
    slider.value = scrubber.index;
    const text = `step ${shown(currentStep())}`;
    slider.setAttribute("aria-valuetext", `${text} of ${shown(last)}`);
    label.textContent = text;
    button.textContent = scrubber.playing ? "❚❚" : "▶";
    button.setAttribute("aria-label", scrubber.playing ? "Pause" : "Play");
  });
  return element(
    "div",
    {id: "scrubber", role: "group", "aria-label": "Step"},
    element(
      "div",
      {className: "inner"},
      button,
      slider,
      label,
      element(
        "span",
        {className: "switches"},
        toggle(
          "perStep",
          "scale per step",
          "Let colours and axes fit the present step, instead of all steps",
        ),
        hasNull
          ? toggle("showNull", "random weights", "Show the same figures of random weights: the null")
          : null,
      ),
    ),
  );
}

// Arrows go one checkpoint, with Shift ten; the slider itself has the same keys when it has the focus.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea"))
    return;
  if (event.key === " " && event.target.closest("button, a, summary")) return;
  const far = event.shiftKey ? 10 : 1;
  const actions = {
    ArrowLeft: () => chooseIndex(scrubber.index - far),
    ArrowRight: () => chooseIndex(scrubber.index + far),
    Home: () => chooseIndex(0),
    End: () => chooseIndex(scrubber.steps.length - 1),
    " ": play,
  };
  if (!actions[event.key]) return;
  event.preventDefault();
  actions[event.key]();
});
