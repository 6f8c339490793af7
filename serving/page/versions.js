// The registry's record: what the gate found for the version that serves, and which versions there are.

import { byId, el, moment, number, renew } from "./dom.js";
import { versionKind } from "./charts.js";

const SIGNS = new Map([["passed", ["✓", "good"]], ["failed", ["✗", "bad"]]]);

export function showRecords(model, series) {
  const { history, registered, version } = model;
  byId("records").hidden = !registered;
  if (!registered) return;
  const minutes = Math.floor(Date.now() / 30_000);
  renew(byId("evidence"), [model.name, version, history, minutes], () => [title("evidence-title", "Evidence of the gate"), ...evidence(history, version)]);
  renew(byId("versions"), [model.name, version, model.loading?.version, history, series.versions, minutes], () => [title("versions-title", "Versions"), ...table(model, series)]);
}

const title = (id, text) => el("header", { class: "head" }, el("h2", { id }, text));
const note = (text) => el("p", { class: "empty" }, text);

function evidence(history, version) {
  if (!history) return [note("Asking the registry…")];
  const found = history.find((one) => one.version === version);
  if (!found) return [note(version === null ? "No version serves yet." : "The registry does not list the version that serves.")];
  if (!found.evidence) {
    return [note(found.gate ? `The gate says “${found.gate}”, and its run cannot be read.` : `No gate judged version ${version}. “cloche promote” would.`)];
  }
  const { verdicts, judged_at, rows, run_id, link } = found.evidence;
  const run = el("code", {}, run_id.slice(0, 8));
  return [
    el("p", { class: "lead" }, `Version ${version} was judged `, moment(judged_at, false), ` on ${rows.toLocaleString("en")} rows that no training saw. Run `, link ? el("a", { href: link, rel: "noreferrer" }, run) : run, "."),
    scroll("Evidence of the gate", el("table", { class: "verdicts" },
      head("Criterion", "Required", "Found"),
      el("tbody", {}, verdicts.map((one) => {
        const [sign, kind] = SIGNS.get(one.result) ?? ["·", "calm"];
        return el("tr", {},
          el("th", { scope: "row" }, el("span", { class: `sign ${kind}`, "aria-hidden": "true" }, sign), el("span", {}, one.name), el("span", { class: "hidden" }, ` ${SIGNS.has(one.result) ? one.result : "does not apply"}`)),
          cell("Required", one.required), cell("Found", one.measured));
      })))),
  ];
}

function table({ history, version, alias, loading }, series) {
  if (!history) return [note("Asking the registry…")];
  if (!history.length) return [note("The registry lists none.")];
  return [scroll("Versions", el("table", { class: "versions" },
    head("Version", "Gate", "Score", "Promoted"),
    el("tbody", {}, history.map((one) => el("tr", { "aria-current": one.version === version && "true" },
      el("th", { scope: "row" },
        el("span", { class: "name" }, series.versions.includes(one.version) && el("span", { class: `swatch ${versionKind(series, one.version)}`, "aria-hidden": "true" }), one.version),
        el("span", { class: "tags" },
          one.version === version && el("span", { class: "strong" }, "serves"),
          one.version === loading?.version && el("span", { class: "warn" }, "loading"),
          one.aliases.map((name) => el("span", {}, name)))),
      cell("Gate", one.gate ? el("span", { class: `word ${one.gate}` }, one.gate) : "–"),
      cell("Score", one.evidence?.score == null ? "–" : [number(one.evidence.score, 4), el("small", {}, ` ${one.evidence.metric}`)]),
      cell("Promoted", one.promoted_at ? [moment(one.promoted_at, false), el("small", {}, [one.promoted_by && ` by ${one.promoted_by}`, one.reason && `: ${one.reason}`].filter(Boolean).join(""))] : "–"))))))];
}

const head = (...names) => el("thead", {}, el("tr", {}, names.map((name) => el("th", { scope: "col" }, name))));
const cell = (name, ...content) => el("td", { "data-name": name }, ...content);
const scroll = (label, content) => el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${label}, as a table` }, content);
