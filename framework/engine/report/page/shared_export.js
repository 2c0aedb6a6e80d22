"use strict";
// Figures as images. `orrery export RUN --figures` and `orrery verify --gallery` open the page as page.html#export=png and
// read the images from the resulting HTML: one element for each, with its names and its bytes in base64. &figure=GLOB asks
// for some of them, &width=N draws them N pixels wide, and &scale=X gives a PNG X times as many pixels, by default twice.

// Of a glob in which * stands for any characters.
function likeGlob(glob) {
  return new RegExp(`^${glob.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&")).join("[^]*")}$`);
}

async function exportOne({name, file, make, width, height}, format, scale) {
  const {title} = make({width, image: true});
  const image = await figureImage(make, format, width, height, scale);
  const [kind, content] = [image.slice(0, image.indexOf(",")), image.slice(image.indexOf(",") + 1)];
  const base64 = kind.endsWith(";base64") ? content : btoa(utf8Characters(decodeURIComponent(content)));
  return element("pre", {"data-file": `${file}.${format}`, "data-figure": encodeURIComponent(name),
    "data-width": String(width), "data-caption": encodeURIComponent(title)}, base64);
}

// The UTF-8 of a text, as one character per byte.
function utf8Characters(text) {
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join("");
}

// `all`: [{name, prepared(width)}], where prepared gives [{file, make, width, height}] of the figure that is called so.
async function exportFigures(all, format) {
  const asked = addressParts().getAll("figure").map(likeGlob), width = Number(addressParts().get("width")) || undefined;
  const scale = Number(addressParts().get("scale")) || undefined;
  const made = [element("pre", {"data-names": all.map(({name}) => encodeURIComponent(name)).join(" ")})];
  let drawn = 0;
  for (const {name, prepared} of all) {
    if (asked.length > 0 && !asked.some((like) => like.test(name))) continue;
    for (const figure of prepared(width)) {
      made.push(await exportOne({name, ...figure}, format, scale));
      ++drawn;
    }
  }
  document.head.replaceChildren();
  document.body.replaceChildren(...made);
  document.documentElement.dataset.exported = String(drawn);
}

// Whether the page was opened for its images; `list` gives what exportFigures() draws.
function isExport(list) {
  const format = addressParts().get("export");
  if (!format) return false;
  Promise.resolve()
    .then(() => exportFigures(list(), format))
    .catch((error) => {
      document.documentElement.dataset.failed = String(error);
    });
  return true;
}
