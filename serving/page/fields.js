// One field for each column or parameter: which control fits, and what its text is in JSON.

import { el, number } from "./dom.js";

const WHOLE = new Set(["integer", "long"]);
const NUMBERS = new Set([...WHOLE, "float", "double"]);
const NULLABLE = new Set(["float", "double", "string"]); // MLflow takes null for a missing value of these
const PLAIN = new Set([...NUMBERS, "boolean", "string", "datetime", "binary"]);
const JSON_NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const LONG_TEXT = 60;
const MOST_CHOICES = 30;

export class Mistake extends Error {}

/** A field for `spec`, a column of a signature; `usual` is what is known of its values. */
export class Field {
  constructor(spec, id, { usual = {}, example, alone = false, fallback } = {}) {
    this.spec = spec;
    this.name = spec.name;
    this.usual = usual;
    this.required = (spec.required ?? true) && fallback === undefined;
    this.kind = kindOf(spec, usual, example, alone);
    this.control = this.make(id, fallback);
    this.control.id = id;
    this.control.name = `field ${this.name}`; // a field called `elements` would hide that of its form
    this.control.setAttribute("aria-describedby", `${id}-hint ${id}-error`);
    this.error = el("p", { class: "wrong", id: `${id}-error` });
    this.element = el("div", { class: `field ${this.kind}` },
      el("label", { for: id }, ...breakable(this.name), this.required ? null : el("span", { class: "optional" }, " optional")),
      this.control,
      this.list ?? null,
      el("p", { class: "hint", id: `${id}-hint` }, this.hint()),
      this.error);
    this.example = written(example);
    this.initial = this.kind === "text" ? "" : this.example; // a text is what somebody came to type
    this.text = this.initial;
  }

  make(id, fallback) {
    const { kind, usual } = this;
    const common = { autocomplete: "off", spellcheck: kind === "text" ? null : "false" };
    if (kind === "choice") {
      const values = this.spec.type === "boolean" ? ["true", "false"] : usual.values;
      return el("select", {}, el("option", { value: "" }, "–"), values.map((value) => el("option", { value }, value)));
    }
    if (kind === "text") return el("textarea", { rows: 4 });
    if (kind === "json") return el("textarea", { rows: 2, spellcheck: "false", class: "code" });
    if (kind === "moment") return el("input", { type: "datetime-local", step: "any" });
    const numeric = NUMBERS.has(this.spec.type);
    const placeholder = fallback === undefined || fallback === null ? null : written(fallback);
    if (kind === "offer") {
      this.list = el("datalist", { id: `${id}-list` }, usual.values.map((value) => el("option", { value })));
      return el("input", { ...common, type: "text", list: `${id}-list` });
    }
    return el("input", { ...common, type: "text", placeholder, inputmode: numeric ? "decimal" : null });
  }

  hint() {
    const { type } = this.spec;
    const { low, high } = this.usual;
    if (this.kind === "json") return `JSON: ${worded(this.spec)}`;
    if (type === "binary") return "bytes, in Base64";
    if (this.kind === "moment") return low ? `known from ${low.slice(0, 16)} to ${high.slice(0, 16)}` : "date and time";
    const word = WHOLE.has(type) ? "whole number" : NUMBERS.has(type) ? "number" : "";
    if (low !== undefined) return `mostly ${number(low)} to ${number(high)}`;
    return this.kind === "offer" ? "usual values are offered" : word;
  }

  get text() { return this.control.value; }

  set text(value) {
    if (this.control.tagName === "SELECT" && ![...this.control.options].some((one) => one.value === value)) {
      this.control.append(el("option", { value }, value)); // what an example holds can be chosen
    }
    this.control.value = this.kind === "moment" ? value.replace(" ", "T").replace(/(Z|[+-]\d\d:?\d\d)$/, "") : value;
  }

  /** What was typed, as JSON text; undefined where the column is to be left out. */
  get json() {
    const text = this.kind === "text" ? this.text : this.text.trim();
    const { type } = this.spec;
    if (this.kind === "text") return JSON.stringify(text);
    if (text === "") return this.missing();
    if (this.kind === "json") return this.parsed(text);
    if (type === "boolean") return text;
    if (!NUMBERS.has(type)) return JSON.stringify(text);
    if (WHOLE.has(type) && !/^-?\d+$/.test(text) && !Number.isNaN(Number(text))) {
      throw new Mistake("Give a whole number."); // MLflow would cut it without a word
    }
    if (JSON_NUMBER.test(text)) return text; // as typed: JavaScript would round long ones
    return Number.isFinite(Number(text)) ? String(Number(text)) : JSON.stringify(text);
  }

  missing() {
    if (NULLABLE.has(this.spec.type)) return this.required || this.spec.required === false ? "null" : undefined;
    return this.required ? "null" : undefined;
  }

  parsed(text) {
    try {
      JSON.parse(text);
    } catch (error) {
      throw new Mistake(`This is no JSON. ${error.message}`);
    }
    return text;
  }

  refuse(message) {
    this.error.textContent = message;
    if (message) this.control.setAttribute("aria-invalid", "true");
    else this.control.removeAttribute("aria-invalid");
  }
}

function kindOf({ type, shape }, { role, values, complete }, example, alone) {
  if (shape || !PLAIN.has(type)) return "json";
  if (type === "boolean") return "choice";
  if (type === "datetime") return "moment";
  if (values?.length) return complete && values.length <= MOST_CHOICES ? "choice" : "offer";
  const long = role === "text" || alone || String(example ?? "").length > LONG_TEXT;
  return type === "string" && long ? "text" : "line";
}

/** A name that may be broken after underscores. */
const breakable = (name) => name.split(/(?<=_)/).flatMap((part) => [part, el("wbr")]);

/** A value as somebody would type it. */
export function written(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function worded({ type, items, values, properties, shape }) {
  if (shape) return `a list of ${type}`;
  if (type === "array") return `a list of ${worded(items)}`;
  if (type === "map") return `an object of ${worded(values)}`;
  if (type === "object") return `an object with ${Object.keys(properties).join(", ")}`;
  return type ?? "anything";
}
