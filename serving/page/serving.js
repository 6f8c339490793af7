// What serves now: the version, since when, and who promoted it.

import { byId, el, moment, renew, versionName } from "./dom.js";

export function showServing(model, series) {
  const known = model.history?.find((one) => one.version === model.version);
  const key = [model.name, model.version, model.ready, model.predictor, model.replicas, model.stages, model.uri, model.since, model.loading?.version, JSON.stringify(model.shadow), known, Math.floor(Date.now() / 30_000)];
  renew(byId("serving"), key, () => [
    el("div", { class: "title" },
      el("p", { class: "eyebrow" }, model.version === null ? "Not serving yet" : "Serving"),
      el("h1", {}, model.name),
      el("p", { class: "version" }, model.version === null ? "No version" : versionName(model.version)),
      el("ul", { class: "tags", "aria-label": "Marks" }, marks(model, known).map(([text, kind]) => el("li", { class: kind }, text)))),
    el("dl", { class: "facts wide" }, facts(model, known).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
  ]);
}

const GATE = new Map([["passed", "good"], ["forced", "warn"], ["refused", "bad"]]); // or whatever a tag holds

function marks(model, known) {
  const found = (known?.aliases ?? []).map((alias) => [alias, alias === model.alias ? "strong" : ""]);
  if (known?.gate) found.push([`gate ${known.gate}`, GATE.get(known.gate) ?? ""]);
  if (model.predictor === "onnx") found.push(["accelerated twin", ""]);
  if (model.version !== null && !model.ready) found.push(["no replica is ready", "bad"]);
  return found;
}

function shadow({ version, percent, ready, problem, compared, differences, baseline }) {
  if (problem) return problem;
  if (!ready) return `${versionName(version)} is being loaded`;
  const itself = baseline.compared ? `, and production from itself in ${baseline.differences} of ${baseline.compared}` : "";
  return `${versionName(version)} gets copies of ${percent} % of the requests, and differs in ${differences} of ${compared} answers${itself}`;
}

const counted = (replicas) => (replicas === 1 ? "1 replica" : `${replicas} replicas`);

function facts(model, known) {
  const found = [];
  if (model.since) found.push(["Here since", moment(model.since)]);
  if (known?.promoted_at) found.push(["Promoted", moment(known.promoted_at)]);
  if (known?.promoted_by) found.push(["By", known.promoted_by]);
  if (known?.reason) found.push(["Reason", known.reason]);
  if (model.shadow) found.push(["Shadow", shadow(model.shadow)]);
  const stages = model.stages.map(({ name, version, replicas }) => `${name} ${version} (${counted(replicas)})`);
  if (stages.length) found.push(["Rows prepared by", stages.join(", then ")]);
  const others = model.stages.reduce((sum, { replicas }) => sum + replicas, 0);
  found.push(["Follows", el("code", {}, model.uri)], ["Replicas", String(model.replicas - others)]);
  return found;
}
