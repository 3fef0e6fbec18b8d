import type { CacheObserver } from "../../cache/cache-options.ts";
import type { FillEvent } from "../../cache/fill/fills.ts";
import type { OnSwitched } from "../../cache/siblings/usefulness.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Fault, FaultKind } from "../../oci/fault.ts";
import type { LocalProblems } from "../../telemetry/local-problems.ts";
import type { RequestRecord } from "../../server/pull/request-record.ts";
import type { RecentPulls } from "../../server/pull/recent-pulls.ts";
import type { RecordedRoute, RepositoryTarget } from "../../server/pull/route.ts";
import { cutForLog, RequestLines } from "../../telemetry/request-lines.ts";
import { HoldCounters } from "../../telemetry/hold-counters.ts";
import type { Log } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { UpstreamEvent } from "../../upstream/observer.ts";
import type { Emitter } from "./emitter.ts";
import { noticeExhaustedLimit, noticeFailingWrite, noticeUnstored } from "./machine-limits.ts";
import type { Insight } from "./operator/insight.ts";
import type { Principals } from "./operator/principals.ts";
import type { OperatorAudit } from "./operator/operator-audit.ts";
import type { MetadataHealth } from "./metadata-health.ts";
import { endPullSpan } from "./operator/pull-span.ts";

export interface RequestReporterOptions {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly recentPulls: RecentPulls;
  /** Records who pulled what, where that is configured. */
  readonly audit: Pick<OperatorAudit, "request">;
  readonly principals: Principals;
  /** Whether the disk is full: then each pull fails to be stored, which was logged once. */
  readonly isFull: () => boolean;
  /** Emits the fault of each metadata write that failed, before it is logged. */
  readonly metadataNotWritten: Emitter<Fault>;
  readonly metadataHealth: MetadataHealth;
  readonly localProblems: LocalProblems;
  /** Are told what single pulls and upstreams do. */
  readonly insight: Pick<Insight, "served" | "activity">;
}

/** Reports requests, downloads and upstreams: to the log, to the metrics and to the recent pulls. */
export class RequestReporter implements CacheObserver {
  readonly #log: Log;
  readonly #metrics: Metrics;
  readonly #recentPulls: RecentPulls;
  readonly #audit: Pick<OperatorAudit, "request">;
  readonly #principals: Principals;
  readonly #isFull: () => boolean;
  readonly #metadataNotWritten: Emitter<Fault>;
  readonly #metadataHealth: MetadataHealth;
  readonly #localProblems: LocalProblems;
  readonly #insight: RequestReporterOptions["insight"];
  readonly #lines = new RequestLines();
  readonly #holdCounters: HoldCounters;

  constructor(options: RequestReporterOptions) {
    this.#principals = options.principals;
    this.#isFull = options.isFull;
    this.#metadataNotWritten = options.metadataNotWritten;
    this.#metadataHealth = options.metadataHealth;
    this.#localProblems = options.localProblems;
    this.#insight = options.insight;
    this.#log = options.log;
    this.#metrics = options.metrics;
    this.#recentPulls = options.recentPulls;
    this.#audit = options.audit;
    this.#holdCounters = new HoldCounters(options.metrics);
  }

  request(told: RequestRecord): void {
    const record = this.#principals.shownIn(told);
    const { route, method, status, bytes, result, span } = record;
    const kind = !route || route.kind === "base" || route.kind === "token" ? "other" : route.kind;
    const upstream = upstreamOf(route);
    const at = record.at ?? Date.now();
    // The catalog is of the cache: no upstream is asked for it.
    const isOfUpstream = route && "repo" in route;
    this.#metrics.request({
      upstream: isOfUpstream ? upstream : undefined,
      kind,
      method,
      status,
      result: isOfUpstream ? result : undefined,
      access: record.access,
      bytes,
      secondsToFirstByte: record.millisecondsToFirstByte / 1000,
      seconds: record.milliseconds / 1000,
    });
    if (upstream !== undefined) this.#countHeld(upstream, record);
    this.#remember(record, at);
    this.#insight.served(record, at);
    this.#audit.request(record, at);
    const line = {
      method,
      path: cutForLog(record.path),
      namespace: upstream,
      status,
      bytes,
      ms: record.milliseconds,
      cache: result,
      client: record.address,
      principal: record.principal,
      agent: cutForLog(record.userAgent),
      error: record.error,
      trace_id: span?.context.traceId,
    };
    if (span) endPullSpan(span, record);
    if (status >= 500 || record.defect !== undefined) {
      const ms = Math.round(line.ms * 10) / 10;
      this.#log.warn({ ...line, ms, err: record.defect }, "request");
    } else if (this.#log.isLevelEnabled("info")) {
      this.#log.line(this.#lines.format(at, line));
    }
  }

  #countHeld(upstream: string, { held, unsigned, status }: RequestRecord): void {
    if (held !== undefined) {
      const refusal = status === 404 ? "missing" : "refused";
      this.#holdCounters.held(upstream, status >= 400 ? refusal : "other-digest");
    }
    if (unsigned) this.#holdCounters.unsigned(upstream, unsigned);
  }

  fillEnded({ digest, source, size, downloaded, fault }: FillEvent): void {
    const upstream = source.slice(0, source.indexOf("/"));
    if (downloaded) {
      this.#insight.activity.downloaded(upstream, downloaded.bytes, downloaded.milliseconds);
    }
    this.#metrics.fill(upstream, fault ? fault.detail.kind : "stored");
    if (!fault) {
      this.#log.debug({ digest, source, size }, "blob stored");
      return;
    }
    this.#noticeUnstored(fault);
    const line = { digest, source, error: fault.message };
    switch (fault.detail.kind) {
      case "cancelled":
        this.#log.debug(line, "download suspended");
        return;
      case "internal":
        this.#metrics.unstored("blob");
        this.#log.error({ ...line, err: fault.cause }, "download failed");
        return;
      case "storage":
      case "no-space":
        this.#metrics.unstored("blob");
        this.#log[this.#failureLevel()](line, "blob downloaded but not stored");
        return;
      default:
        this.#log.warn(line, "download failed");
    }
  }

  manifestNotStored(digest: Digest, fault: Fault): void {
    this.#metrics.unstored("manifest");
    this.#noticeUnstored(fault);
    const line = { digest, error: fault.message };
    this.#log[this.#failureLevel()](line, "manifest served but not stored");
  }

  metadataNotWritten(fault: Fault): void {
    this.#metadataNotWritten.emit(fault);
    // A database that cannot be read cannot be written either, and that is told already.
    if (this.#metadataHealth.problem === undefined) noticeFailingWrite(this.#localProblems, fault);
    const isTold = fault.detail.kind === "storage";
    this.#log[isTold ? "debug" : this.#failureLevel()](
      { error: fault.message },
      "metadata not written",
    );
  }

  metadataNotRead(fault: Fault): void {
    this.#metadataHealth.failed(fault);
  }

  readonly prefetchSwitched: OnSwitched = (namespace, { isOn, asked, judged }) => {
    if (isOn) {
      this.#log.info({ namespace }, "layers are downloaded ahead again");
      return;
    }
    const line = { namespace, asked, downloaded: judged };
    this.#log.warn(
      line,
      "layers are not downloaded ahead for an hour: clients asked for few of them",
    );
  };

  upstream(event: UpstreamEvent): void {
    const { upstream } = event;
    if (event.type === "credentials") {
      this.#log.warn({ namespace: upstream, problem: event.problem }, "credentials refused");
      return;
    }
    if (event.type === "ejected") {
      const { mirror, reason: error } = event;
      this.#log.warn({ namespace: upstream, mirror, error }, "mirror ejected for ten minutes");
      return;
    }
    if (event.type === "local-limit") {
      const { limit, reason } = event;
      this.#localProblems.notice(limit, `requests to ${upstream} fail on this machine: ${reason}`);
      return;
    }
    const { kind } = event;
    switch (event.type) {
      case "responded":
        this.#metrics.upstreamRequest({ upstream, kind, status: event.status });
        if (kind !== "token") {
          this.#insight.activity.responded(upstream, event.status, event.milliseconds);
        }
        break;
      case "failed":
        this.#metrics.upstreamRequest({
          upstream,
          kind,
          status: statusOf(event.fault),
        });
        if (event.fault.startsWith("upstream-")) this.#insight.activity.failed(upstream);
        break;
      case "received":
        this.#metrics.upstreamBytes(upstream, kind, event.bytes);
        break;
    }
  }

  /** On a full disk every pull fails to be stored, so these lines would flood the log. */
  /** A disk on which nothing can be stored is told as such. */
  #noticeUnstored(fault: Fault): void {
    if (this.#isFull()) noticeExhaustedLimit(this.#localProblems, fault);
    else noticeUnstored(this.#localProblems, fault);
  }

  #failureLevel(): "debug" | "warn" {
    return this.#isFull() ? "debug" : "warn";
  }

  /** Whoever else is behind the address may not know what is private. */
  #remember({ route, status, address, refused, access }: RequestRecord, at: number): void {
    const isPrivate = access !== undefined && access !== "open" && access !== "public";
    // That credentials are asked for says nothing of what is there, and a node is to say it.
    const isTold = !isPrivate || access === "unauthorized";
    if (refused && isTold) this.#recentPulls.refuse(address, { ...refused, status, at });
    if (isPrivate || !route || !("repo" in route) || status >= 400) return;
    this.#recentPulls.add(address, {
      namespace: route.repo.upstream,
      repository: route.repo.repository,
      reference: referenceOf(route),
      kind: route.kind,
      status,
      at,
    });
  }
}

function statusOf(fault: FaultKind | "aborted"): "aborted" | "unsent" | "failed" {
  if (fault === "aborted") return "aborted";
  return fault === "local-limit" ? "unsent" : "failed";
}

function upstreamOf(route: RecordedRoute | undefined): string | undefined {
  if (!route || route.kind === "base" || route.kind === "token") return undefined;
  return "repo" in route ? route.repo.upstream : route.upstream.settings.name;
}

function referenceOf(route: RepositoryTarget): string {
  if (route.kind === "manifest") return route.reference;
  return route.kind === "blob" || route.kind === "referrers" ? route.digest : "";
}
