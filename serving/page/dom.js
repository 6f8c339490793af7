// Elements, and how times and numbers are written. Text is only ever set as text: nothing that a
// server tells is read as HTML.

const SVG = "http://www.w3.org/2000/svg";

const keys = new WeakMap();

export const byId = (id) => document.getElementById(id);

/** An element with attributes, listeners (onclick: f) and children; null and false are left out. */
export function el(tag, attributes = {}, ...children) {
  return build(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return build(document.createElementNS(SVG, tag), attributes, children);
}

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== false));
  return element;
}

/** Replace the content of `element` if `key` is not that of the last time: focus and text selection
 * in what did not change are left alone. */
export function renew(element, key, make) {
  const text = JSON.stringify(key);
  if (keys.get(element) === text) return;
  keys.set(element, text);
  element.replaceChildren(...make());
}

export function empty(element) {
  keys.delete(element);
  element.replaceChildren();
}

export function number(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  if (value !== 0 && Math.abs(value) < 10 ** -digits) return value.toExponential(1);
  const places = Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(value) || 1)));
  return value.toLocaleString("en", { maximumFractionDigits: Math.min(places, 6), useGrouping: "min2" });
}

export function milliseconds(seconds) {
  if (seconds === null) return "–";
  return seconds >= 10 ? `${number(seconds, 3)} s` : `${number(seconds * 1000, 3)} ms`;
}

/** `version` as people say it; what is served from a folder has none. */
export const versionName = (version) => (version ? `Version ${version}` : "Unversioned");

export const clock = (date) => date.toLocaleTimeString("en-GB");

const AGES = [["day", 86400], ["hour", 3600], ["minute", 60]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

export function ago(date) {
  const seconds = (Date.now() - date) / 1000;
  for (const [unit, length] of AGES) {
    if (seconds >= length) return relative.format(-Math.floor(seconds / length), unit);
  }
  return "just now";
}

/** A moment: how long ago, and which. */
export function moment(iso, exact = true) {
  const date = new Date(iso);
  const text = date.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
  return el("time", { datetime: iso, title: date.toLocaleString("en-GB") }, exact ? `${ago(date)}, ${text}` : ago(date));
}
