import type { Exposition, Metric } from "./exposition.ts";
import { requestCounters } from "./described-requests.ts";
import { NO_REQUESTS, type RequestSample, RequestCounters } from "./request-counters.ts";
import type { Traffic, UpstreamSample, UpstreamTotals } from "./upstream-traffic.ts";
import { Histogram } from "./histogram.ts";
import { type CounterValue, Counters } from "./counters.ts";
import { proxyCounters } from "./proxy-counters.ts";
import { type Revision, revision, version } from "../version.ts";

/** A metric without its values, for the reference. */
export interface MetricDescription extends Pick<Metric, "name" | "help" | "labelNames"> {
  readonly kind: Metric["kind"] | "histogram";
}

/** Histogram buckets in seconds: a cache hit takes about a millisecond, a large layer minutes. */
const BUCKETS = [0.001, 0.005, 0.02, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60, 300];

/** The metrics that Prometheus scrapes at `/metrics`. */
export class Metrics {
  readonly #registered: Metric[] = [];
  readonly #histograms: Histogram[] = [];
  #exposition: Promise<Exposition> | undefined;
  #revision: Revision | undefined;

  readonly #requests = new RequestCounters();
  readonly #upstreamRequests = this.#counter(
    "entrepot_upstream_requests_total",
    "Requests to upstreams, redirects and retries included; unsent ones met a limit of this machine.",
    ["upstream", "kind", "status"],
  );
  readonly #upstreamBytes = this.#counter(
    "entrepot_upstream_bytes_total",
    "Bytes of response bodies received from upstreams.",
    ["upstream"],
  );
  readonly #upstreamBytesByKind = new Counters();
  readonly #savedBytes = new Map<string, number>();
  readonly #tokenRequests = this.#counter(
    "entrepot_token_requests_total",
    "Requests sent to the token endpoints of upstreams.",
    ["upstream"],
  );
  readonly #fills = this.#counter(
    "entrepot_fills_total",
    "Blob downloads from upstreams that ended, by result.",
    ["upstream", "result"],
  );
  readonly #removedBlobs = this.#counter(
    "entrepot_removed_blobs_total",
    "Stored blobs that were removed, by reason.",
    ["reason"],
  );
  readonly #removedBytes = this.#counter(
    "entrepot_removed_bytes_total",
    "Bytes of stored blobs that were removed, by reason.",
    ["reason"],
  );
  readonly #scrubbedBytes = this.#counter(
    "entrepot_scrubbed_bytes_total",
    "Stored bytes that the background scrub read and verified.",
    [],
  );
  readonly #unstored = this.#counter(
    "entrepot_unstored_responses_total",
    "Manifests and blobs that were served but could not be stored.",
    ["kind"],
  );
  readonly #requestDurations = new Histogram(
    {
      name: "entrepot_request_duration_seconds",
      help: "Time from the arrival of a request to the end of its response body.",
      label: "kind",
    },
    BUCKETS,
  );

  readonly #firstByteDurations = new Histogram(
    {
      name: "entrepot_time_to_first_byte_seconds",
      help: "Time from the arrival of a request until its response began, by cache result.",
      label: "result",
    },
    BUCKETS,
  );

  readonly #diskDurations = new Histogram(
    {
      name: "entrepot_disk_operation_duration_seconds",
      help: "Time that the disk took to open, write or sync a file, or to write metadata.",
      label: "operation",
    },
    BUCKETS,
  );

  constructor() {
    this.#histograms.push(this.#requestDurations, this.#firstByteDurations, this.#diskDurations);
    const requests = this.#requests;
    for (const kind of ["manifest", "blob"]) this.#unstored.add([kind], 0);
    this.gauges(
      "entrepot_build_info",
      "1, with the version of the cache, the commit and its date (empty if unknown), and the version of the runtime.",
      ["version", "commit", "date", "bun"],
      () => {
        const { commit = "", date = "" } = this.#revision ?? {};
        return [{ labels: [version, commit, date, Bun.version], value: 1 }];
      },
    );
    this.#registerCounter(
      "entrepot_saved_bytes_total",
      "Bytes sent to clients that did not have to be received from the upstream for it.",
      ["upstream"],
      () => this.#saved(),
    );
    const counted = requestCounters(requests);
    const proxied = { responses: () => requests.responses(), fetched: this.#upstreamBytesByKind };
    for (const { name, help, labelNames, read } of [...counted, ...proxyCounters(proxied)]) {
      this.#registerCounter(name, help, labelNames, read);
    }
  }

  request(sample: RequestSample): void {
    this.#requests.add(sample);
    this.#requestDurations.observe(sample.kind, sample.seconds);
    if (sample.result) this.#firstByteDurations.observe(sample.result, sample.secondsToFirstByte);
  }

  /** @param operation one of a few, as in `DiskOperation` of store/disk-times.ts */
  diskOperation(operation: string, seconds: number): void {
    this.#diskDurations.observe(operation, seconds);
  }

  upstreamRequest({ upstream, kind, status }: UpstreamSample): void {
    this.#upstreamRequests.add([upstream, kind, String(status)]);
    if (kind === "token") this.#tokenRequests.add([upstream]);
  }

  upstreamBytes(upstream: string, kind: UpstreamSample["kind"], bytes: number): void {
    this.#upstreamBytes.add([upstream], bytes);
    this.#upstreamBytesByKind.add([upstream, kind], bytes);
  }

  /** Counts a download that ended. `result` is `stored` or the kind of the fault. */
  fill(upstream: string, result: string): void {
    this.#fills.add([upstream, result]);
  }

  /** Has the removals for these reasons counted from zero on: of a series that begins at 1, Prometheus sees no increase. */
  expectRemovals(reasons: readonly string[]): void {
    for (const reason of reasons) {
      this.#removedBlobs.add([reason], 0);
      this.#removedBytes.add([reason], 0);
    }
  }

  /** Counts a blob that was removed from the store. */
  removed(reason: string, bytes: number): void {
    this.#removedBlobs.add([reason]);
    this.#removedBytes.add([reason], bytes);
  }

  scrubbed(bytes: number): void {
    this.#scrubbedBytes.add([], bytes);
  }

  /** Counts an object that was served but could not be stored. */
  unstored(kind: "manifest" | "blob"): void {
    this.#unstored.add([kind]);
  }

  /** Registers a gauge that is read at each scrape. */
  gauge(name: string, help: string, read: () => number): void {
    this.gauges(name, help, [], () => [{ labels: [], value: read() }]);
  }

  /** Registers a gauge with labels that is read at each scrape. */
  gauges(
    name: string,
    help: string,
    labelNames: readonly string[],
    read: () => Iterable<{ readonly labels: readonly string[]; readonly value: number }>,
  ): void {
    this.#registered.push({ kind: "gauge", name, help, labelNames, read });
  }

  /** Registers a counter with labels whose values are kept elsewhere. */
  counters(
    name: string,
    help: string,
    labelNames: readonly string[],
    read: () => Iterable<CounterValue>,
  ): void {
    this.#registerCounter(name, help, labelNames, read);
  }

  /** Registers a histogram that is kept elsewhere. */
  histogram(histogram: Histogram): void {
    this.#histograms.push(histogram);
  }

  traffic(upstream: string): Traffic {
    const fetched = [...this.#upstreamBytes].find(({ labels }) => labels[0] === upstream);
    const fetchedBytes = fetched?.value ?? 0;
    const totals = this.#requests.totalsOf(upstream);
    const before = this.#savedBytes.get(upstream) ?? 0;
    const savedBytes = Math.max(before, totals.sentBytes - fetchedBytes);
    this.#savedBytes.set(upstream, savedBytes);
    return { ...totals, fetchedBytes, savedBytes };
  }

  /** Of each upstream that was asked for anything, or sent anything. */
  totals(): ReadonlyMap<string, UpstreamTotals> {
    const all = new Map<string, UpstreamTotals>();
    for (const [upstream, totals] of this.#requests.totals()) {
      all.set(upstream, { ...totals, fetchedBytes: 0 });
    }
    for (const { labels, value } of this.#upstreamBytes) {
      const [upstream = ""] = labels;
      all.set(upstream, { ...(all.get(upstream) ?? NO_REQUESTS), fetchedBytes: value });
    }
    return all;
  }

  /** Bytes of blobs that were removed since the process started, by reason. */
  get removedBytes(): Iterable<CounterValue> {
    return this.#removedBytes;
  }

  /** All metrics of the cache that are registered so far, in the order of the text format. */
  get descriptions(): readonly MetricDescription[] {
    const histograms = this.#histograms.map(({ metric }) => {
      const { name, help, label } = metric;
      return { kind: "histogram", name, help, labelNames: [label] } as const;
    });
    return [...this.#registered, ...histograms];
  }

  /** Loads what `render` needs: without a file descriptor for that, the runtime would abort. */
  async load(): Promise<void> {
    await this.#load();
  }

  /** Renders all metrics in the Prometheus text format. */
  async render(): Promise<string> {
    const exposition = await this.#load();
    const counted = await exposition.render(this.#registered);
    return [counted, ...this.#histograms.map((one) => one.text())].join("\n");
  }

  *#saved(): Generator<CounterValue> {
    for (const upstream of new Set([...this.#requests.responses()].map((one) => one.upstream))) {
      yield { labels: [upstream], value: this.traffic(upstream).savedBytes };
    }
  }

  /** Loads prom-client, which would slow down the start. */
  #load(): Promise<Exposition> {
    this.#exposition ??= Promise.all([import("./exposition.ts"), revision()]).then(
      ([module, built]) => {
        this.#revision = built;
        return new module.Exposition();
      },
    );
    return this.#exposition;
  }

  #counter(name: string, help: string, labelNames: readonly string[]): Counters {
    const counters = new Counters();
    this.#registerCounter(name, help, labelNames, () => counters);
    return counters;
  }

  #registerCounter(
    name: string,
    help: string,
    labelNames: readonly string[],
    read: () => Iterable<CounterValue>,
  ): void {
    this.#registered.push({ kind: "counter", name, help, labelNames, read });
  }
}
