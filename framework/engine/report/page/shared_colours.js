"use strict";
// Light and dark, and the colours of figures in each. Lines are in Okabe and Ito's colours and heatmaps run from blue
// through the colour of the paper to red; both can be told apart by people with any common colour blindness.

const themes = {
  light: {
    paper: "#ffffff",
    ink: "#1d1f23",
    soft: "#62676f",
    grid: "#eceef1",
    axis: "#b9bec6",
    lines: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5b6069", "#8c6d31"],
    diverging: [
      "#053061",
      "#2166ac",
      "#4393c3",
      "#92c5de",
      "#d1e5f0",
      "#ffffff",
      "#fddbc7",
      "#f4a582",
      "#d6604d",
      "#b2182b",
      "#67001f",
    ],
    phases: [
      "rgba(0, 114, 178, 0.07)",
      "rgba(230, 159, 0, 0.09)",
      "rgba(0, 158, 115, 0.08)",
      "rgba(204, 121, 167, 0.09)",
    ],
  },
  dark: {
    paper: "#15171b",
    ink: "#e4e6ea",
    soft: "#9aa1ab",
    grid: "#262a31",
    axis: "#4a505a",
    lines: ["#56b4e9", "#f0894a", "#2fbf93", "#d994b8", "#e6b84a", "#3d7bd9", "#a8aeb8", "#a8834a"],
    diverging: [
      "#d3e9ff",
      "#94c7f7",
      "#4f9fe3",
      "#2a6db0",
      "#1d4064",
      "#15171b",
      "#5e2a22",
      "#a3412f",
      "#dd6a50",
      "#f5a58c",
      "#ffe0d4",
    ],
    phases: [
      "rgba(86, 180, 233, 0.10)",
      "rgba(230, 184, 74, 0.10)",
      "rgba(47, 191, 147, 0.10)",
      "rgba(217, 148, 184, 0.10)",
    ],
  },
};
const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
const themeListeners = [];

function themeName() {
  return document.documentElement.dataset.theme || (prefersDark.matches ? "dark" : "light");
}
function theme() {
  return themes[themeName()];
}
function onThemeChange(listener) {
  themeListeners.push(listener);
}
function lineColour(index) {
  return theme().lines[index % theme().lines.length];
}

// For Plotly: zero, in the middle, is the colour of the paper; red is positive.
function divergingScale() {
  const stops = theme().diverging;
  return stops.map((colour, i) => [i / (stops.length - 1), colour]);
}

function chooseTheme(name) {
  document.documentElement.dataset.theme = name;
  try {
    localStorage.setItem("orrery-theme", name);
  } catch {
    /* pages opened from a file may have no storage */
  }
  for (const listener of themeListeners) listener();
}

function themeButton() {
  return element(
    "button",
    {
      type: "button",
      className: "quiet",
      id: "theme",
      title: "Light or dark",
      "aria-label": "Switch between light and dark",
      onclick: () => chooseTheme(themeName() === "dark" ? "light" : "dark"),
    },
    "◐",
  );
}

try {
  const chosen = localStorage.getItem("orrery-theme");
  if (chosen in themes) document.documentElement.dataset.theme = chosen;
} catch {
  /* as above */
}
prefersDark.addEventListener("change", () => themeListeners.forEach((listener) => listener()));
// Paper is white.
window.addEventListener("beforeprint", () => {
  document.documentElement.dataset.printing = document.documentElement.dataset.theme || "";
  document.documentElement.dataset.theme = "light";
  for (const listener of themeListeners) listener();
});
window.addEventListener("afterprint", () => {
  document.documentElement.dataset.theme = document.documentElement.dataset.printing;
  for (const listener of themeListeners) listener();
});
