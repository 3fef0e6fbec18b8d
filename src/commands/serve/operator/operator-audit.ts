import { isDeepStrictEqual } from "node:util";
import type { Settings } from "../../../config/settings.ts";
import { looksLikeDigest } from "../../../oci/digest.ts";
import type { RequestRecord } from "../../../server/pull/request-record.ts";
import { describeSystemError } from "../../../store/storage-fault.ts";
import { Audit } from "../../../audit/audit.ts";
import type { AuditedRequest } from "../../../audit/audited-request.ts";
import type { LocalProblems } from "../../../telemetry/local-problems.ts";
import type { Log } from "../../../telemetry/log.ts";
import type { Metrics } from "../../../telemetry/metrics.ts";

export interface OperatorAuditOptions {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly localProblems: LocalProblems;
}

/** The audit of pulls, while one is configured. */
export class OperatorAudit implements AsyncDisposable {
  readonly #options: OperatorAuditOptions;
  #audit: Audit | undefined;
  #podsOf: (address: string, image: string) => readonly string[] = () => [];
  /** Those of earlier settings that still write, and the counts of those that are closed. */
  readonly #closingAudits = new Set<Audit>();
  #closed = { lines: 0, dropped: 0 };
  #closing: Promise<void> = Promise.resolve();

  constructor(settings: Pick<Settings, "audit">, options: OperatorAuditOptions) {
    this.#options = options;
    this.configure(settings);
    options.metrics.counters(
      "entrepot_audit_lines_total",
      "Lines of the audit, by whether they were made, or dropped since they could not be written.",
      ["result"],
      () => {
        const open = [...this.#closingAudits, ...(this.#audit ? [this.#audit] : [])];
        const sum = (count: "lines" | "dropped"): number =>
          open.reduce((total, { counts }) => total + counts[count], this.#closed[count]);
        return [
          { labels: ["made"], value: sum("lines") },
          { labels: ["dropped"], value: sum("dropped") },
        ];
      },
    );
  }

  configure({ audit }: Pick<Settings, "audit">): void {
    const present = this.#audit;
    if (isDeepStrictEqual(present?.settings, audit)) return;
    this.#audit =
      audit &&
      new Audit(audit, {
        log: this.#options.log,
        podsOf: (address, image) => this.#podsOf(address, image),
        onError: this.#onError,
      });
    if (!present) return;
    this.#closingAudits.add(present);
    this.#closing = this.#closing.then(() => this.#close(present));
  }

  /** @param podsOf the pods of the node with this address that have this image */
  knowPods(podsOf: (address: string, image: string) => readonly string[]): void {
    this.#podsOf = podsOf;
  }

  /** @param at when it ended, in milliseconds since the epoch */
  request(record: RequestRecord, at: number): void {
    const request = this.#audit && auditedOf(record, at);
    if (request) this.#audit?.add(request);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#closing;
    await this.#audit?.[Symbol.asyncDispose]();
  }

  async #close(audit: Audit): Promise<void> {
    await audit[Symbol.asyncDispose]();
    const { lines, dropped } = audit.counts;
    const { lines: before, dropped: droppedBefore } = this.#closed;
    this.#closed = { lines: before + lines, dropped: droppedBefore + dropped };
    this.#closingAudits.delete(audit);
  }

  readonly #onError = (error: unknown, file: string): void => {
    this.#options.localProblems.notice(
      "audit",
      `the audit cannot be written to ${file}: ${describeSystemError(error)}. Its lines wait in memory, and are lost if there are too many, or if the cache ends. Mend that, or set audit.to to another file`,
    );
  };
}

/** @returns undefined for what is no part of a pull */
function auditedOf(record: RequestRecord, at: number): AuditedRequest | undefined {
  const { route, refused, method, address, userAgent, status, result, digest } = record;
  const common = {
    at,
    milliseconds: record.milliseconds,
    client: address,
    principal: record.principal,
    isChallenged: record.access === "unauthorized",
    agent: userAgent,
    isHead: method === "HEAD",
    status,
    digest,
    result,
    bytes: record.bytes,
    error: refused?.message ?? record.error,
    held: record.held,
  };
  if (!route || !("repo" in route)) {
    // Policy refuses it before its reference is known.
    if (!refused) return undefined;
    const { namespace: upstream, repository } = refused;
    return { ...common, upstream, repository, isTag: false };
  }
  if (route.kind !== "manifest" && route.kind !== "blob") return undefined;
  const { upstream, repository } = route.repo;
  const reference = route.kind === "manifest" ? route.reference : route.digest;
  const isTag = !looksLikeDigest(reference);
  return { ...common, upstream, repository, kind: route.kind, reference, isTag };
}
