import type { Exposition, Metric } from "./exposition.ts";
import {
  type CacheResult,
  type RequestedKind,
  type RequestSample,
  RequestCounters,
} from "./request-counters.ts";
import { Histogram } from "./histogram.ts";
import { type Counted, Counters } from "./counters.ts";

/** A request of ours to an upstream: each redirect and retry is one. */
export interface UpstreamSample {
  readonly upstream: string;
  readonly kind: Exclude<RequestedKind, "catalog"> | "token";
  /** `failed` where there was no answer, `aborted` where nobody wanted it any more. */
  readonly status: number | "failed" | "aborted";
}

/** What an upstream's requests came to since the start. */
export interface Traffic {
  readonly answers: ReadonlyMap<CacheResult, number>;
  /** Bytes of bodies sent to clients, and received from the upstream. */
  readonly sent: number;
  readonly fetched: number;
}

/** In seconds: a hit takes a millisecond, a large layer minutes. */
const BUCKETS = [0.001, 0.005, 0.02, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60, 300];

/** What monitoring reads. */
export class Metrics {
  readonly #figures: Metric[] = [];
  #exposition: Promise<Exposition> | undefined;

  readonly #requests = new RequestCounters();
  readonly #upstreamRequests = this.#counter(
    "entrepot_upstream_requests_total",
    "Requests sent to upstreams, redirects and retries included.",
    ["upstream", "kind", "status"],
  );
  readonly #upstreamBytes = this.#counter(
    "entrepot_upstream_bytes_total",
    "Bytes of bodies received from upstreams.",
    ["upstream"],
  );
  readonly #tokenRequests = this.#counter(
    "entrepot_token_requests_total",
    "Requests to the token endpoints of upstreams.",
    ["upstream"],
  );
  readonly #fills = this.#counter("entrepot_fills_total", "Downloads of content that ended.", [
    "upstream",
    "result",
  ]);
  readonly #evicted = this.#counter("entrepot_removed_total", "Contents that were removed.", [
    "why",
  ]);
  readonly #evictedBytes = this.#counter(
    "entrepot_removed_bytes_total",
    "Bytes of contents that were removed.",
    ["why"],
  );
  readonly #scrubbed = this.#counter(
    "entrepot_scrub_bytes_total",
    "Stored bytes that were read again and verified in the background.",
    [],
  );
  readonly #unstored = this.#counter(
    "entrepot_unstored_total",
    "Contents that were passed on without being stored.",
    ["kind"],
  );
  readonly #seconds = new Histogram(
    {
      name: "entrepot_request_seconds",
      help: "From a request's arrival to the end of its body.",
      label: "kind",
    },
    BUCKETS,
  );

  constructor() {
    const requests = this.#requests;
    this.#counted(
      "entrepot_requests_total",
      "Requests answered on node-facing ports.",
      ["upstream", "kind", "method", "status"],
      () => requests.counts(),
    );
    this.#counted(
      "entrepot_request_bytes_total",
      "Bytes of bodies sent to clients.",
      ["upstream"],
      () => requests.bytes(),
    );
    this.#counted(
      "entrepot_cache_total",
      "How requests were answered.",
      ["upstream", "kind", "result"],
      () => requests.results(),
    );
  }

  request(fact: RequestSample): void {
    this.#requests.add(fact);
    this.#seconds.observe(fact.kind, fact.seconds);
  }

  upstreamRequest({ upstream, kind, status }: UpstreamSample): void {
    this.#upstreamRequests.add([upstream, kind, String(status)]);
    if (kind === "token") this.#tokenRequests.add([upstream]);
  }

  upstreamBytes(upstream: string, bytes: number): void {
    this.#upstreamBytes.add([upstream], bytes);
  }

  /** A download that ended, and how. */
  fill(upstream: string, result: string): void {
    this.#fills.add([upstream, result]);
  }

  /** A content that is no longer stored. */
  removed(why: string, bytes: number): void {
    this.#evicted.add([why]);
    this.#evictedBytes.add([why], bytes);
  }

  scrubbed(bytes: number): void {
    this.#scrubbed.add([], bytes);
  }

  /** Something was served that could not be stored. */
  unstored(kind: "manifest" | "blob"): void {
    this.#unstored.add([kind]);
  }

  /** A number that is asked for whenever somebody reads the metrics. */
  gauge(name: string, help: string, read: () => number): void {
    this.gauges(name, help, [], () => [{ labels: [], value: read() }]);
  }

  /** Numbers by labels that are asked for whenever somebody reads the metrics. */
  gauges(
    name: string,
    help: string,
    labelNames: readonly string[],
    read: () => Iterable<{ readonly labels: readonly string[]; readonly value: number }>,
  ): void {
    this.#figures.push({ kind: "gauge", name, help, labelNames, read });
  }

  traffic(upstream: string): Traffic {
    const fetched = [...this.#upstreamBytes].find(({ labels }) => labels[0] === upstream);
    return { ...this.#requests.of(upstream), fetched: fetched?.value ?? 0 };
  }

  /** The text form that Prometheus reads. */
  async render(): Promise<string> {
    // A start waits for no library that is needed once somebody reads, if ever.
    this.#exposition ??= import("./exposition.ts").then((module) => new module.Exposition());
    const exposition = await this.#exposition;
    return `${await exposition.render(this.#figures)}\n${this.#seconds.text()}`;
  }

  #counter(name: string, help: string, labelNames: readonly string[]): Counters {
    const tally = new Counters();
    this.#counted(name, help, labelNames, () => tally);
    return tally;
  }

  #counted(
    name: string,
    help: string,
    labelNames: readonly string[],
    read: () => Iterable<Counted>,
  ): void {
    this.#figures.push({ kind: "counter", name, help, labelNames, read });
  }
}
