// What the model said: the last answer at length, those before in a line each.

import { byId, clock, el, milliseconds, number } from "./dom.js";
import { versionKind } from "./charts.js";

const EARLIER = 5;
const [SHORT, LONGEST] = [120, 20_000]; // characters

export class Answers {
  constructor() { this.clear(); }

  clear() {
    this.told = [];
    byId("answer").replaceChildren(el("p", { class: "empty" }, "Fill in the form and ask. The answer appears here, with the version that gave it."));
    byId("earlier").replaceChildren();
  }

  /** Show the predictions of an answer. */
  show(body, { version, seconds, requestId, series }) {
    const answer = { values: body?.predictions ?? body, version, seconds, requestId, at: new Date(), kind: versionKind(series, version) };
    this.told.unshift(answer);
    const [, ...before] = this.told.splice(0, EARLIER + 1);
    this.told = [answer, ...before];
    byId("answer").replaceChildren(
      values(answer.values),
      el("dl", { class: "facts" },
        fact("by", chip(answer)), fact("at", clock(answer.at)), fact("round trip", milliseconds(seconds)), fact("request", el("code", {}, requestId || "–"))));
    byId("answer").scrollIntoView({ block: "nearest" });
    byId("earlier").replaceChildren(...(before.length ? [
      el("h3", {}, "Before"),
      el("ul", { class: "before" }, before.map((one) => el("li", {}, el("span", {}, clock(one.at)), chip(one), el("span", { class: "brief" }, brief(one.values))))),
    ] : []));
  }

  /** Say that there was none. */
  fail(message, requestId) {
    byId("answer").replaceChildren(el("p", { class: "wrong" }, message), requestId ? el("p", { class: "hint" }, "Request ", el("code", {}, requestId)) : "");
  }
}

const chip = ({ version, kind }) => el("span", { class: `chip ${kind}` }, el("span", { class: "swatch", "aria-hidden": "true" }), version ? `version ${version}` : "unversioned");
const fact = (name, value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));

function values(found) {
  const one = Array.isArray(found) && found.length === 1 ? found[0] : found;
  if (typeof one === "string" && one.length > SHORT) return el("pre", { tabindex: 0 }, one.slice(0, LONGEST));
  if (isScalar(one)) return el("p", { class: "prediction" }, scalar(one));
  if (isNamed(one)) {
    return el("dl", { class: "outputs" }, Object.entries(one).map(([name, value]) => el("div", {},
      el("dt", {}, name), el("dd", {}, scalar(value), isShare(name, value) && el("meter", { min: 0, max: 1, value, "aria-label": name })))));
  }
  const text = JSON.stringify(found, null, 2);
  return el("pre", { tabindex: 0 }, text.length > LONGEST ? `${text.slice(0, LONGEST)}\n… ${text.length} characters in all` : text);
}

const isScalar = (value) => value === null || typeof value !== "object";
const isNamed = (value) => !Array.isArray(value) && Object.values(value).every(isScalar);
const isShare = (name, value) => /prob|score|share/i.test(name) && typeof value === "number" && value >= 0 && value <= 1;
const scalar = (value) => (typeof value === "number" && !Number.isInteger(value) ? number(value, 4) : String(value));

function brief(found) {
  const one = Array.isArray(found) && found.length === 1 ? found[0] : found;
  if (isScalar(one)) return scalar(one);
  if (isNamed(one)) return Object.entries(one).map(([name, value]) => `${name} ${scalar(value)}`).join(", ");
  return `${JSON.stringify(one).slice(0, 60)}…`;
}
