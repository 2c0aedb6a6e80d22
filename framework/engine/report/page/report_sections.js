"use strict";
// Sections that fold, the menu that lists all of them, and the address of the page, which keeps the step and the sections
// that are open: report.html#step=400&open=training,findings

const sections = []; // {id, title, details}

function section(id, title, summary, ...children) {
  const details = element(
    "details",
    {className: "section"},
    element("summary", {}, element("h2", {id: `${id}-title`}, title)),
    summary ? element("p", {className: "note"}, summary) : null,
    ...children,
  );
  const made = element("section", {id, "aria-labelledby": `${id}-title`}, details);
  details.addEventListener("toggle", () => {
    sections.find((one) => one.id === id).link?.classList.toggle("open", details.open);
    keepAddress();
  });
  sections.push({id, title, details});
  return made;
}

// The sections that are open at first: those that the address names; else the first and the findings, and the probes
// where they are few.
function openSections() {
  const asked = addressParts().get("open"),
    anchor = decodeURIComponent(location.hash.slice(1)),
    probes = sections.filter((one) => one.id.startsWith("probe-"));
  for (const one of sections) {
    const few = probes.length <= 2 && one.id.startsWith("probe-");
    one.details.open =
      asked === null ? ["training", "findings"].includes(one.id) || few || one.id === anchor : asked.split(",").includes(one.id);
    one.link?.classList.toggle("open", one.details.open);
  }
  const target = sections.find((one) => one.id === anchor);
  if (target) requestAnimationFrame(() => target.details.scrollIntoView());
}

// Not at each step of the scrubber: browsers limit how often an address may change.
let addressTimer = null;
function keepAddress() {
  clearTimeout(addressTimer);
  addressTimer = setTimeout(() => {
    const open = sections.filter((one) => one.details.open).map((one) => one.id);
    const parts = `step=${currentStep()}&open=${open.map(encodeURIComponent).join(",")}`;
    try {
      history.replaceState(null, "", `#${parts}`);
    } catch {
      /* some browsers refuse this to pages opened from a file */
    }
  }, 200);
}

function foldAll(open) {
  for (const one of sections) one.details.open = open;
}

function goTo(one) {
  one.details.open = true;
  one.details.scrollIntoView();
}

// Beside the page where there is room, else below a button.
function navigation() {
  const links = element("div", {className: "links", id: "sections"});
  const button = element(
    "button",
    {
      type: "button",
      id: "menu",
      "aria-expanded": "false",
      "aria-controls": "sections",
      onclick: () => show(!nav.classList.contains("unfolded")),
    },
    "☰ Sections",
  );
  for (const one of sections) {
    one.link = element("a", {href: `#${one.id}`}, one.title);
    one.link.addEventListener("click", (event) => {
      event.preventDefault();
      show(false);
      goTo(one);
    });
    links.append(one.link);
  }
  links.append(
    element(
      "span",
      {className: "fold"},
      element("button", {type: "button", id: "open-all", onclick: () => foldAll(true)}, "open all"),
      element("button", {type: "button", id: "close-all", onclick: () => foldAll(false)}, "close all"),
    ),
  );
  const nav = element(
    "nav",
    {"aria-label": "Sections"},
    element("span", {className: "run"}, pageData.title),
    links,
    button,
    themeButton(),
  );
  const show = (unfolded) => {
    nav.classList.toggle("unfolded", unfolded);
    button.setAttribute("aria-expanded", String(unfolded));
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") show(false);
  });
  return nav;
}

window.addEventListener("hashchange", () => {
  const one = sections.find(({id}) => id === decodeURIComponent(location.hash.slice(1))),
    step = addressParts().get("step");
  if (one) goTo(one);
  else if (step !== null) {
    chooseStep(Number(step));
    if (addressParts().has("open")) openSections();
  }
});
window.addEventListener("beforeprint", () => foldAll(true));
