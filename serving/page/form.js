// The form made from a model's signature: a field for each column, or the request as JSON where
// columns cannot be told apart.

import { el } from "./dom.js";
import { Field, Mistake } from "./fields.js";

const LARGE = 100_000; // characters of JSON that a text area shows without a pause

export class Form {
  constructor(element, actions, { submit }) {
    this.element = element;
    this.actions = actions;
    this.fields = [];
    element.addEventListener("submit", (event) => {
      event.preventDefault();
      submit();
    });
  }

  /** Show the form of another model or version; what was typed stays where the fields do. */
  show(model, told) {
    const same = this.model === model && JSON.stringify([this.told.inputs, this.told.params]) === JSON.stringify([told.inputs, told.params]);
    const typed = this.model === model ? new Map(this.fields.map((field) => [field.name, field])) : new Map();
    this.told = told;
    if (same) return;
    const [focused, moved] = [this.element.contains(document.activeElement), document.activeElement?.name];
    this.model = model;
    this.named = told.inputs.length > 0 && told.inputs.every((spec) => spec.name !== undefined && spec.type !== "tensor");
    this.raw = !this.named;
    this.build();
    for (const field of this.fields) {
      const before = typed.get(field.name);
      if (before && before.text !== before.initial) field.text = before.text;
    }
    if (focused) [...this.element.elements].find((one) => one.name === moved)?.focus();
  }

  build() {
    this.fields = this.raw ? [] : this.columns();
    const areas = this.raw ? [this.json()] : this.groups();
    this.problem = el("p", { class: "wrong", role: "alert" });
    this.button = el("button", { type: "submit" }, "Ask");
    this.element.replaceChildren(...areas, el("div", { class: "submit" }, this.button, this.problem));
    this.actions.replaceChildren(...this.tools());
  }

  columns() {
    const { inputs, params } = this.told;
    const usual = new Map(Object.entries(this.told.usual));
    const example = this.exampleRow();
    const columns = inputs.map((spec, at) => new Field(spec, `column-${at}`, { usual: usual.get(spec.name), example: example.get(spec.name), alone: inputs.length === 1 }));
    this.params = params.map((spec, at) => new Field(spec, `param-${at}`, { fallback: spec.default ?? null }));
    this.inputs = columns;
    return [...columns, ...this.params];
  }

  groups() {
    const grid = (fields) => el("div", { class: "fields" }, fields.map((field) => field.element));
    if (!this.params.length) return [grid(this.inputs)];
    return [grid(this.inputs), el("fieldset", {}, el("legend", {}, "Parameters"), grid(this.params))];
  }

  json() {
    this.area = el("textarea", { class: "code", rows: 12, id: "body", spellcheck: "false", "aria-describedby": "body-hint body-error" });
    this.area.value = this.draft ?? this.sketch();
    this.areaError = el("p", { class: "wrong", id: "body-error" });
    return el("div", { class: "field" },
      el("label", { for: "body" }, "Request, as JSON"), this.area,
      el("p", { class: "hint", id: "body-hint" }, this.explained()), this.areaError);
  }

  explained() {
    const { inputs } = this.told;
    if (this.named) return "One of dataframe_records, dataframe_split, inputs or instances.";
    if (!inputs.length) return "This model has no signature: it reads what it likes. Mostly one of dataframe_split, dataframe_records, inputs or instances.";
    if (inputs[0].type !== "tensor") return `Each row has ${inputs.length} values: ${inputs.map((spec) => spec.type).join(", ")}.`;
    return inputs.map(({ name, "tensor-spec": { dtype, shape } }) => `${name ? `${name}: ` : ""}${dtype}, shape ${shape.map((axis) => (axis < 0 ? "any" : axis)).join(" × ")}`).join("; ") + ".";
  }

  tools() {
    const button = (text, act) => el("button", { type: "button", class: "quiet", onclick: () => act.call(this) }, text);
    if (this.raw) return this.named ? [button("Back to fields", this.showFields)] : [];
    return [button("Clear", this.clear), button("Example", this.reset), button("As JSON", this.showJson)].filter((one, at) => at !== 1 || this.told.example !== null);
  }

  showJson() {
    try {
      this.draft = indented(this.body());
    } catch (error) {
      if (!(error instanceof Mistake)) throw error;
      return;
    }
    this.raw = true;
    this.build();
    this.draft = undefined;
    this.area.focus();
  }

  showFields() {
    this.raw = false;
    this.build();
    this.fields[0]?.control.focus();
  }

  clear() { this.fill(() => ""); }

  reset() { this.fill((field) => field.example); }

  fill(text) {
    for (const field of this.fields) { field.text = text(field); field.refuse(""); }
    this.problem.textContent = "";
    this.fields[0]?.control.focus();
  }

  /** The body of the request; shows mistakes that no server has to look at, and throws the first. */
  body() {
    for (const field of this.fields) field.refuse("");
    this.problem.textContent = "";
    if (this.raw) return this.rawBody();
    const mistakes = [];
    const members = (fields) => fields.flatMap((field) => {
      try {
        const { json } = field;
        return json === undefined ? [] : [`${JSON.stringify(field.name)}: ${json}`];
      } catch (error) {
        if (!(error instanceof Mistake)) throw error;
        mistakes.push({ column: field.name, message: error.message });
        return [];
      }
    }).join(", ");
    const [row, params] = [members(this.inputs), members(this.params)];
    if (mistakes.length) {
      this.refuse(mistakes);
      throw new Mistake(mistakes[0].message);
    }
    return `{"dataframe_records": [{${row}}]${params ? `, "params": {${params}}` : ""}}`;
  }

  rawBody() {
    this.area.removeAttribute("aria-invalid");
    this.areaError.textContent = "";
    try {
      JSON.parse(this.area.value);
    } catch (error) {
      this.refuse([], `This is no JSON. ${error.message}`);
      throw new Mistake(error.message);
    }
    return this.area.value;
  }

  /** Show why a request was refused: beside the fields that are named, otherwise below the form. */
  refuse(mistakes, message = "") {
    const found = mistakes.flatMap(({ column, message: told }) => {
      const field = this.fields.find((one) => one.name === column);
      field?.refuse(field.text.trim() ? told : "The model needs a value here.");
      return field ? [field] : [];
    });
    if (found.length) {
      this.problem.textContent = found.length === 1 ? "One field needs another look." : `${found.length} fields need another look.`;
      found[0].control.focus();
    } else if (this.raw) {
      this.areaError.textContent = message || mistakes.map((one) => `${one.column}: ${one.message}`).join(" ");
      this.area.setAttribute("aria-invalid", "true");
      this.area.focus();
    } else {
      this.problem.textContent = message;
      this.button.focus();
    }
  }

  busy(is) {
    this.button.setAttribute("aria-disabled", is);
    this.button.textContent = is ? "Asking…" : "Ask";
  }

  /** The first row of the input example by column: a Map, since a column may be called constructor. */
  exampleRow() {
    const { example } = this.told;
    const split = example?.dataframe_split;
    if (split?.columns) return new Map(split.columns.map((name, at) => [name, split.data?.[0]?.[at]]));
    const rows = example?.dataframe_records ?? example?.instances ?? example?.inputs;
    if (Array.isArray(rows)) return new Map(isObject(rows[0]) ? Object.entries(rows[0]) : []);
    return new Map(isObject(rows) ? Object.entries(rows).map(([name, cells]) => [name, Array.isArray(cells) ? cells[0] : cells]) : []);
  }

  /** A request to begin with. */
  sketch() {
    const { example, inputs } = this.told;
    if (example !== null) {
      const text = indented(JSON.stringify(example));
      if (text.length <= LARGE) return text;
    }
    if (!inputs.length) return indented('{"inputs": [[0]]}');
    if (inputs[0].type !== "tensor") return indented(JSON.stringify({ inputs: [inputs.map((spec) => (spec.type === "string" ? "" : 0))] }));
    const named = inputs[0].name !== undefined;
    const content = named ? Object.fromEntries(inputs.map((spec) => [spec.name, zeros(spec)])) : zeros(inputs[0]);
    return indented(JSON.stringify({ inputs: content }));
  }
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

function zeros({ "tensor-spec": { shape, dtype } }) {
  const size = shape.reduce((product, axis) => product * Math.max(axis, 1), 1);
  if (size > 1000) return [];
  const element = dtype === "bool" ? false : /^(str|object|U|S)/.test(dtype) ? "" : 0;
  return shape.reduceRight((inner, axis) => Array(Math.max(axis, 1)).fill(inner), element);
}

/** JSON with the outer levels on lines of their own. Numbers stay as they were typed. */
function indented(text) {
  let [depth, quoted, out] = [0, false, ""];
  for (let at = 0; at < text.length; at++) {
    const sign = text[at];
    if (quoted) {
      out += sign === "\\" ? sign + text[++at] : sign;
      quoted = sign !== '"';
      continue;
    }
    quoted = sign === '"';
    const breaks = depth + (sign === "{" || sign === "[" ? 1 : 0) <= 4;
    if (/\s/.test(sign)) continue;
    if ("{[".includes(sign)) { depth++; out += sign + (breaks && !"]}".includes(text[at + 1]) ? `\n${"  ".repeat(depth)}` : ""); }
    else if ("}]".includes(sign)) { out += (depth <= 4 && !"[{".includes(text[at - 1]) ? `\n${"  ".repeat(depth - 1)}` : "") + sign; depth--; }
    else if (sign === ",") out += depth <= 4 ? `,\n${"  ".repeat(depth)}` : ", ";
    else out += sign === ":" ? ": " : sign;
  }
  return out;
}
