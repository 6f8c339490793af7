// What the server's counters say between two looks: rates, quantiles, levels. Pure, without a page.

const KEPT = 150; // looks: five minutes
const TOO_LONG = 15; // seconds without a look, after which a line is broken

export class Series {
  constructor() {
    this.samples = [];
    this.swaps = []; // {time, version}
    this.versions = []; // in the order they were seen: each has its own colour
    this.last = null;
  }

  /** Take what `/status.json` said; `time` is the browser's, in milliseconds. */
  add(status, time) {
    const { model, clock, started } = status;
    const before = this.last;
    this.last = { model, clock, started };
    this.see(model.version, time, before);
    if (before === null || before.started !== started || clock <= before.clock) return;
    this.samples.push(sample(before, this.last, time));
    if (this.samples.length > KEPT) this.samples.shift();
  }

  see(version, time, before) {
    if (version === null) return;
    if (!this.versions.includes(version)) this.versions.push(version);
    const was = before?.model.version ?? null;
    if (was !== null && was !== version) this.swaps.push({ time, version });
  }
}

function sample(before, now, time) {
  const seconds = now.clock - before.clock;
  const [was, is] = [before.model.counted, now.model.counted];
  const old = new Map(was.requests.map((one) => [`${one.code} ${one.version}`, one.count]));
  const answered = is.requests.map((one) => ({ ...one, rate: (one.count - (old.get(`${one.code} ${one.version}`) ?? 0)) / seconds }));
  const rate = (fits) => answered.filter(fits).reduce((sum, one) => sum + one.rate, 0);
  const versions = [...new Set(answered.map((one) => one.version))];
  const waits = difference(is.durations.request, was.durations.request);
  return {
    time,
    broken: seconds > TOO_LONG,
    requests: rate(() => true),
    byVersion: Object.fromEntries(versions.map((v) => [v, rate((one) => one.version === v)]).filter(([v, r]) => r > 0 || v === now.model.version)),
    refused: rate((one) => one.code >= 400 && one.code < 500),
    failed: rate((one) => one.code >= 500),
    median: quantile(0.5, waits, is.bounds),
    slowest: quantile(0.99, waits, is.bounds),
    model: quantile(0.5, difference(is.durations.predict, was.durations.predict), is.bounds),
    rows: (is.rows - was.rows) / seconds,
    waiting: now.model.waiting,
    working: now.model.in_progress,
  };
}

/** Counts by bucket, of all versions together, since the last look. */
function difference(now, before) {
  const old = new Map(before.map((one) => [one.version, one.counts]));
  const total = [];
  for (const { version, counts } of now) {
    counts.forEach((count, at) => { total[at] = (total[at] ?? 0) + count - (old.get(version)?.[at] ?? 0); });
  }
  return total;
}

/** The quantile of a histogram as Prometheus estimates it: even within a bucket; null if it is empty. */
export function quantile(share, counts, bounds) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (!total) return null;
  let [below, at] = [0, 0];
  while (below + counts[at] < share * total) below += counts[at++];
  if (at >= bounds.length) return bounds.at(-1);
  const from = at ? bounds[at - 1] : 0;
  return from + (bounds[at] - from) * ((share * total - below) / counts[at]);
}
