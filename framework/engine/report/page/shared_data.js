"use strict";
// The data of the page: JSON, and arrays of numbers that are unpacked on first use.

// What the address has after its #: page.html#step=400&open=training.
const addressParts = () => new URLSearchParams(location.hash.slice(1));

// JSON has no NaN and no infinities; Orrery writes them as these texts.
const notFinite = {NaN, Infinity, "-Infinity": -Infinity};
const pageData = JSON.parse(document.getElementById("data").textContent, (key, value) =>
  typeof value === "string" && Object.hasOwn(notFinite, value) ? notFinite[value] : value,
);

const packedPieces = [...document.querySelectorAll("script.numbers")];
const unpackedPieces = [];
const arrayTypes = {f32: Float32Array, f64: Float64Array, i32: Int32Array, i16: Int16Array, i8: Int8Array};
const knownArrays = new Map();

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64); // browsers since 2025
  const text = atob(base64),
    bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; ++i) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function unpackedPiece(index) {
  unpackedPieces[index] ||= bytesOf(packedPieces[index].textContent);
  return unpackedPieces[index];
}

// Bytes `begin` to `end` of all pieces laid end to end. Every piece but the last is as long as the first.
function bytesBetween(begin, end) {
  const bytes = new Uint8Array(end - begin);
  const size = packedPieces.length > 0 ? unpackedPiece(0).length : 1;
  for (let at = begin; at < end;) {
    const index = Math.floor(at / size),
      from = at - index * size;
    const piece = unpackedPiece(index).subarray(from, from + end - at);
    bytes.set(piece, at - begin);
    at += piece.length;
  }
  return bytes;
}

// The typed array that "f32:0:100" refers to: 100 numbers from byte 0.
function numbers(reference) {
  if (!knownArrays.has(reference)) {
    const [type, at, count] = reference.split(":");
    const size = arrayTypes[type].BYTES_PER_ELEMENT;
    const bytes = bytesBetween(Number(at), Number(at) + size * Number(count));
    knownArrays.set(reference, new arrayTypes[type](bytes.buffer));
  }
  return knownArrays.get(reference);
}

// element("p", {className: "note"}, "text", anotherElement). Functions and names that the element knows are set as
// properties; other names, such as "aria-label", become attributes.
function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// A number for display: 40,000  0.0312  1.2e-7.
function shown(value) {
  if (typeof value !== "number") return String(value);
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "not a number" : value > 0 ? "∞" : "−∞";
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toLocaleString("en").replace("-", "−");
  const size = Math.abs(value);
  const text = size < 1e-3 || size >= 1e6 ? value.toExponential(2) : String(Number(value.toPrecision(3)));
  return text.replaceAll("-", "−").replace("e+", "e");
}

// "logit_share" becomes "logit share"; W_E stays.
function readable(name) {
  return /^[a-z0-9_ /]+$/.test(name) ? name.replaceAll("_", " ") : name;
}

const inNats = (loss) => loss === "cross_entropy" || loss === "logistic";
// The y label of a loss of this kind. What the loss of a plugin is measured in, it does not say.
function lossLabel(loss) {
  if (inNats(loss)) return "loss (nats)";
  return {hinge: "hinge loss", mse_one_hot: "mean squared error"}[loss] ?? `loss (${readable(loss)})`;
}
