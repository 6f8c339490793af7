// The page: it looks at the server every two seconds, and shows what it finds.

import { Answers } from "./answer.js";
import { ask, askJson, key, KeyWanted, pathOf, Unreachable } from "./asking.js";
import { showCanary } from "./canary.js";
import { makeCharts } from "./charts.js";
import { byId, clock, el, empty, renew, versionName } from "./dom.js";
import { Mistake } from "./fields.js";
import { Form } from "./form.js";
import { refusedFields } from "./refusal.js";
import { showQuality } from "./quality.js";
import { Series } from "./series.js";
import { showRecords } from "./versions.js";
import { showServing } from "./serving.js";

const EVERY = 2000;
const SOON = 400; // while the registry's answer is on its way
const AGAIN = [1000, 2000, 5000, 10_000]; // after failures

const charts = makeCharts();
const answers = new Answers();
const form = new Form(byId("form"), byId("try-actions"), { submit: askModel });
let series = new Series();
let shown = null; // the model, as it was told last
let formVersion = null; // whose form is shown
let failures = 0;
let lost = null; // since when the server does not answer
let timer = 0;
let looking = false;

byId("charts").append(...charts.map((chart) => chart.element));

async function look() {
  clearTimeout(timer);
  if (looking) return;
  looking = true;
  const name = wanted();
  let pause = EVERY;
  try {
    const status = await askJson(`status.json?model=${encodeURIComponent(name)}`);
    if (name !== wanted()) pause = 0;
    else pause = (await take(status)) ?? EVERY;
    [failures, lost] = [0, null];
    tell("live", "Live");
  } catch (error) {
    pause = onFailure(error);
  } finally {
    looking = false;
  }
  showNotices();
  if (pause !== null && !document.hidden) timer = setTimeout(look, pause);
}

/** Show a status; when to look again, if not as usual. */
async function take(status) {
  byId("sign-in").hidden = true;
  byId("forget").hidden = !key.value;
  choose(status.models);
  const { model } = status;
  if (model === null) return nothing(status);
  if (shown?.name !== model.name) [series, shown] = [new Series(), null];
  const before = shown?.version ?? null;
  const now = Date.now();
  series.add(status, now);
  shown = model;
  byId("nothing").hidden = true;
  byId("shown").hidden = false;
  document.title = `${model.name}${model.version ? ` ${model.version}` : ""} · Cloche`;
  showServing(model, series);
  showCanary(model.canary, model.history?.find((one) => one.version === model.canary?.version)?.rollout);
  for (const chart of charts) chart.draw(series, now);
  showQuality(model, series);
  showRecords(model, series);
  if (before !== null && model.version !== before) say(`${versionName(model.version)} of ${model.name} serves now.`);
  await renewForm(model);
  return model.registered && !model.history ? SOON : null;
}

function nothing({ models, complete }) {
  if (models.length) {
    history.replaceState(null, "", addressOf(models[0].name));
    return 0;
  }
  shown = null;
  byId("shown").hidden = true;
  byId("nothing").hidden = false;
  byId("nothing").textContent = complete ? "No model has the alias that this server follows yet. The first that gets it appears here." : "The registry was not read yet.";
  return null;
}

async function renewForm({ name, version, since }) {
  const wantedForm = version === null ? null : `${name} ${version} ${since}`;
  if (wantedForm === formVersion) return;
  byId("try").hidden = version === null;
  if (version !== null) form.show(name, await askJson(pathOf(name, "form")));
  if (!formVersion?.startsWith(`${name} `)) answers.clear();
  formVersion = wantedForm;
}

function onFailure(error) {
  if (error instanceof KeyWanted) {
    askForKey();
    return null;
  }
  if (!(error instanceof Unreachable)) {
    console.error(error); // one thing that cannot be shown does not end the looking
    tell("lost", "Cannot be shown");
    return EVERY;
  }
  lost ??= new Date();
  if (failures === 0) say("The server does not answer. Trying again.");
  tell("lost", "No connection");
  return AGAIN[Math.min(failures++, AGAIN.length - 1)];
}

function askForKey() {
  const refused = key.value !== "";
  key.value = "";
  [shown, formVersion, series, lost] = [null, null, new Series(), null];
  answers.clear();
  form.model = null;
  for (const id of ["serving", "quality", "evidence", "versions", "form", "docs-body", "model", "notices"]) empty(byId(id));
  byId("shown").hidden = true;
  byId("nothing").hidden = true;
  byId("chooser").hidden = true;
  byId("forget").hidden = true;
  byId("sign-in").hidden = false;
  document.title = "Cloche";
  tell("locked", "Key needed");
  byId("key-error").textContent = refused ? "The server does not know this key." : "";
  if (refused) byId("key").setAttribute("aria-invalid", "true");
  byId("key").focus();
}

/** Which model to show: what the address says. The server takes the only one for any name. */
const wanted = () => new URLSearchParams(location.search).get("model") ?? "";
const addressOf = (model) => `?${new URLSearchParams({ model })}`;

function choose(models) {
  byId("chooser").hidden = models.length < 2;
  renew(byId("model"), models, () => models.map(({ name, ready, version }) => el("option", { value: name }, `${name}${ready ? "" : version === null ? " (loading)" : " (not ready)"}`)));
  byId("model").value = wanted();
}

async function askModel() {
  if (form.element.ariaBusy === "true" || shown === null) return;
  let body;
  try {
    body = form.body();
  } catch (error) {
    if (!(error instanceof Mistake)) throw error;
    return;
  }
  form.element.ariaBusy = "true";
  form.busy(true);
  try {
    await predict(shown.name, body);
  } catch (error) {
    if (error instanceof KeyWanted) askForKey();
    else if (error instanceof Unreachable) answers.fail("The server could not be reached. Nothing was predicted.");
    else throw error;
  } finally {
    form.element.ariaBusy = "false";
    form.busy(false);
  }
}

async function predict(name, body) {
  const begun = performance.now();
  const response = await ask(pathOf(name, "invocations"), { method: "POST", body, headers: { "Content-Type": "application/json" } }, 0);
  const text = await response.text().catch(() => { throw new Unreachable(); });
  const seconds = (performance.now() - begun) / 1000;
  const requestId = response.headers.get("X-Request-Id");
  const told = parsed(text);
  if (response.ok) {
    answers.show(told, { version: response.headers.get("X-Model-Version"), seconds, requestId, series });
    return;
  }
  const message = told?.message ?? `The server answered ${response.status}.`;
  if (response.status === 400) form.refuse(refusedFields(told ?? {}), message);
  answers.fail(response.status === 400 ? "The request was refused. The form says why." : message, requestId);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text; // models may write NaN, which is no JSON
  }
}

function showNotices() {
  const told = [];
  if (lost) told.push(["bad", `No connection since ${clock(lost)}. What is shown is from then; trying again.`]);
  else if (shown) {
    if (shown.loading) told.push(["calm", `${versionName(shown.loading.version)} is being loaded since ${clock(new Date(shown.loading.since))}. ${shown.version === null ? "" : "The one before answers until it is warm."}`]);
    else if (shown.problem) told.push([shown.version === null ? "calm" : "warn", shown.problem]);
    if (shown.warning) told.push(["warn", shown.warning]);
  }
  renew(byId("notices"), told, () => told.map(([kind, text]) => el("p", { class: `notice ${kind}` }, text)));
  byId("main").classList.toggle("stale", lost !== null);
}

function tell(state, text) {
  byId("state").dataset.state = state;
  if (byId("state-text").textContent !== text) byId("state-text").textContent = text;
}

/** For who does not see the page change. */
function say(text) { byId("said").textContent = text; }

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = byId("key").value.trim();
  const possible = /^[\x20-\x7e]+$/.test(text); // what a header can hold
  byId("key-error").textContent = possible ? "" : text ? "Keys have no such characters." : "Type the key.";
  byId("key").toggleAttribute("aria-invalid", false);
  if (!possible) return byId("key").focus();
  key.value = text;
  byId("key").value = "";
  return look();
});
byId("forget").addEventListener("click", () => { key.value = ""; look(); });
byId("model").addEventListener("change", (event) => {
  history.pushState(null, "", addressOf(event.target.value));
  look();
});
addEventListener("popstate", () => look());
addEventListener("online", () => look());
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });

// With a key, the browser cannot open the documents by itself.
byId("docs-link").addEventListener("click", async (event) => {
  if (!key.value) return;
  event.preventDefault();
  try {
    const text = await (await ask("docs")).text();
    const told = new DOMParser().parseFromString(text, "text/html");
    for (const link of told.querySelectorAll("a")) link.replaceWith(link.textContent); // they need the key, too
    byId("docs-body").replaceChildren(...told.querySelectorAll("main > :not(h1)"));
    byId("docs").showModal();
  } catch (error) {
    if (error instanceof KeyWanted) askForKey();
    else if (!(error instanceof Unreachable)) throw error;
  }
});

look();
