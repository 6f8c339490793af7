// The canary beside production: its share, what both arms failed, and how far it is from its end.

import { byId, el, empty, number, renew, versionName } from "./dom.js";

export function showCanary(canary) {
  const section = byId("canary");
  section.hidden = !canary;
  if (!canary) return empty(section);
  renew(section, canary, () => [
    el("header", { class: "head" }, el("h2", { id: "canary-title" }, "Canary")),
    el("p", {}, headline(canary)),
    canary.counts && el("dl", { class: "facts" }, facts(canary).map(([name, ...value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
    canary.warning && el("p", { class: "notice warn" }, canary.warning),
  ].filter(Boolean));
}

function headline({ version, percent, ready, problem }) {
  if (problem) return problem;
  return ready ? `${versionName(version)} answers ${percent} % of the callers.` : `${versionName(version)} is being loaded.`;
}

const failed = ({ requests, failures }) => `${number(failures, 9)} of ${number(requests, 9)} requests`;

function facts({ counts, abort }) {
  const found = [["Failed by the canary", failed(counts.canary)], ["Failed by production", failed(counts.production)]];
  if (abort) {
    found.push(["Evidence against the canary",
      `${abort.failures} of about ${abort.at} failures that would end it; a caller counts once`,
      el("meter", { min: 0, max: abort.at, value: abort.failures, "aria-label": "Failures on the way to the canary's end" })]);
  }
  return found;
}
