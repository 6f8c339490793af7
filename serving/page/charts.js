// Which charts there are, and what each shows.

import { Chart } from "./chart.js";
import { milliseconds, number } from "./dom.js";

export const versionKind = ({ versions }, version) => `v${Math.max(0, versions.indexOf(version)) % 4}`;

const whole = (value) => number(value, 3);

function byVersion(series) {
  const seen = new Set(series.samples.flatMap((one) => Object.keys(one.byVersion)));
  const shown = series.versions.filter((version) => seen.has(version)).slice(-4);
  return shown.map((version) => ({
    label: version ? `version ${version}` : "requests",
    kind: versionKind(series, version),
    value: (one) => one.byVersion[version] ?? null,
  }));
}

const lines = (...told) => () => told.map(([label, kind, value]) => ({ label, kind, value }));

export const makeCharts = () => [
  new Chart({
    title: "Requests", unit: "a second, by version", empty: "No requests yet", lines: byVersion,
    headline: (now) => [whole(now.requests), ` a second, ${whole(now.rows)} rows`],
  }),
  new Chart({
    title: "Latency", unit: "from request to answer", empty: "No requests yet", format: milliseconds,
    lines: lines(["median", "calm", (one) => one.median], ["99th percentile", "strong", (one) => one.slowest], ["the model's part", "other", (one) => one.model]),
    headline: (now) => [milliseconds(now.median), now.slowest === null ? "" : ` median, ${milliseconds(now.slowest)} p99`],
  }),
  new Chart({
    title: "Errors", unit: "a second", empty: "No errors",
    lines: lines(["refused (4xx)", "warm", (one) => one.refused], ["failed (5xx)", "bad", (one) => one.failed]),
    headline: (now) => [share(now), " of requests"],
  }),
  new Chart({
    title: "Queue", unit: "requests", empty: "Nobody waits", counts: true,
    lines: lines(["waiting for a replica", "strong", (one) => one.waiting], ["not answered yet", "calm", (one) => one.working]),
    headline: (now) => [whole(now.waiting), " waiting"],
  }),
];

function share({ requests, refused, failed }) {
  return requests ? `${number((100 * (refused + failed)) / requests, 2)} %` : "0 %";
}
