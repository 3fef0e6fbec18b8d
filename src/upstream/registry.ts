import type { UpstreamSettings } from "../config/settings.ts";
import type { Digest } from "../oci/digest.ts";
import { Fault } from "../oci/fault.ts";
import type { RepositoryName, Tag } from "../oci/names.ts";
import type { CircuitBreaker } from "./health/circuit-breaker.ts";
import { reportCorrupt, Hosts, type HostStatus } from "./hosts.ts";
import { Failover } from "./failover.ts";
import type { CredentialStatus } from "./auth/keyring.ts";
import type { Budget } from "./health/rate-limits.ts";
import { listReferrers, listTags, type TagPage } from "./list-requests.ts";
import {
  type FetchedManifest,
  getManifest,
  headManifest,
  type ManifestHead,
} from "./manifest-requests.ts";
import { QUIRKS } from "./quirks.ts";
import { checkedRange, checkedWhole, rangeHeader } from "./transport/content-range.ts";
import type { RegistryTransport } from "./registry-transport.ts";
import type { SlotKind } from "./transport/concurrency-limiter.ts";

/** A blob's bytes on their way here: a `Transfer` of cache/fill/source.ts. */
export interface BlobTransfer {
  /** The offset in the blob of the body's first byte: the one asked for, or 0 from a registry without ranges. */
  readonly start: number;
  /** The whole blob's size in bytes, where the registry told it. */
  readonly size?: number;
  /** Fails with a `Fault`. It must be read to its end or cancelled: it holds a connection. */
  readonly body: ReadableStream<Uint8Array>;
  /** See `Transfer` of cache/fill/source.ts. */
  readonly reportCorrupt: (fault: Fault) => boolean;
}

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
}

/**
 * One upstream registry, as a pull needs it. Every method rejects with a `Fault`, or with the
 * signal's reason where the caller gave up.
 */
export class Registry {
  readonly #transport: RegistryTransport;
  readonly #hosts: Hosts;
  readonly #failover: Failover;
  #settings: UpstreamSettings;

  constructor(settings: UpstreamSettings, transport: RegistryTransport, circuit?: CircuitBreaker) {
    this.#settings = settings;
    this.#transport = transport;
    this.#hosts = new Hosts(settings, circuit);
    this.#failover = new Failover(settings, transport, this.#hosts);
  }

  /** The upstream's name, as images carry it. */
  get name(): UpstreamSettings["name"] {
    return this.#settings.name;
  }

  get settings(): UpstreamSettings {
    return this.#settings;
  }

  /** Takes up changed settings of the same upstream. Requests under way go on as they began. */
  configure(settings: UpstreamSettings): void {
    this.#settings = settings;
    this.#failover.configure(settings);
  }

  /**
   * Whether what is cached is better served without asking: it failed, or limits how often it is
   * asked. Once a limit's time is over, the first who wants to know is told no, and should ask.
   */
  get isUnhealthy(): boolean {
    return this.#hosts.isUnhealthy(this.#who);
  }

  /** The last failure since it answered, for messages. */
  get fault(): Fault | undefined {
    return this.#hosts.fault;
  }

  /** How many requests it still allows, where it told so. */
  get budget(): Budget | undefined {
    return this.#hosts.all.at(-1)?.limits.budget(this.#who);
  }

  /** Whether what is left of the budget should be kept for content that is not here yet. */
  get isBudgetLow(): boolean {
    return this.#hosts.all.at(-1)?.limits.isLow(this.#who) ?? false;
  }

  /** What is known of each of its addresses, in the order in which they are asked. */
  get status(): readonly HostStatus[] {
    return this.#hosts.status(this.#who);
  }

  get credentials(): CredentialStatus {
    return this.#transport.keyring.status(this.#settings);
  }

  get #who(): string {
    return this.#transport.keyring.identity(this.#settings.name);
  }

  /**
   * What the registry says of a manifest, unverified. Docker Hub does not count it as a pull.
   *
   * @returns `undefined` where the registry does not serve HEAD: see `QUIRKS.headUnsupportedStatuses`
   */
  async headManifest(
    repository: RepositoryName,
    reference: Tag | Digest,
    { signal }: RequestOptions = {},
  ): Promise<ManifestHead | undefined> {
    return headManifest(this.#failover, repository, reference, signal);
  }

  /** Fetches a manifest of at most 8 MiB; its bytes match the reference, or the digest that came with them. */
  async getManifest(
    repository: RepositoryName,
    reference: Tag | Digest,
    { signal }: RequestOptions = {},
  ): Promise<FetchedManifest> {
    return getManifest(this.#failover, repository, reference, signal);
  }

  /**
   * Opens a blob. Its bytes are not verified here.
   *
   * @param offset the first byte wanted
   * @param end the byte after the last one wanted; without it, to the blob's end
   * @throws Fault `invalid-range` where the registry has nothing there (416)
   */
  async getBlob(
    repository: RepositoryName,
    digest: Digest,
    offset: number,
    signal?: AbortSignal,
    end?: number,
  ): Promise<BlobTransfer> {
    return this.#openBlob("blob", repository, digest, { offset, end, signal });
  }

  /**
   * Whether a blob can be read now, through every redirect: fetches its first byte and discards it. See
   * `QUIRKS.blobProbeRange` for why this is not a HEAD.
   */
  async probeBlob(
    repository: RepositoryName,
    digest: Digest,
    { signal }: RequestOptions = {},
  ): Promise<{ readonly size?: number }> {
    try {
      const range = { ...QUIRKS.blobProbeRange, signal };
      const { size, body } = await this.#openBlob("metadata", repository, digest, range);
      await body.cancel();
      return size === undefined ? {} : { size };
    } catch (error) {
      if (!(error instanceof Fault) || error.detail.kind !== "invalid-range") throw error;
      // An empty blob has no first byte, and is there.
      return error.detail.size === undefined ? {} : { size: error.detail.size };
    }
  }

  /**
   * One page of a repository's tags.
   *
   * @param page `n`: how many, at least 1; more than 1000 are not asked for. `last`: the tag after
   * which the page begins
   */
  async listTags(
    repository: RepositoryName,
    page: { readonly n: number; readonly last?: string | undefined },
    { signal }: RequestOptions = {},
  ): Promise<TagPage> {
    return listTags(this.#failover, repository, page, signal);
  }

  /**
   * The descriptors of all manifests that refer to a digest, unfiltered and unchecked beyond being
   * objects; `undefined` where the registry lacks the API, and its fallback tag must be read.
   */
  async referrers(
    repository: RepositoryName,
    digest: Digest,
    { signal }: RequestOptions = {},
  ): Promise<readonly Record<string, unknown>[] | undefined> {
    return listReferrers(this.#failover, repository, digest, signal);
  }

  async #openBlob(
    slot: SlotKind,
    repository: RepositoryName,
    digest: Digest,
    wanted: { offset: number; end: number | undefined; signal: AbortSignal | undefined },
  ): Promise<BlobTransfer> {
    const { offset, end, signal } = wanted;
    const range = rangeHeader(offset, end);
    return this.#failover.send(
      { what: "blob", name: `${repository}@${digest}` },
      {
        request: "blob",
        slot,
        method: "GET",
        path: `blobs/${digest}`,
        repository,
        headers: range === undefined ? {} : { range },
        signal,
      },
      async ({ status, headers, body, host }) => {
        const extent =
          status === 206 && range !== undefined
            ? checkedRange(headers, offset, end)
            : checkedWhole(status, headers);
        if (typeof extent === "string") {
          await body?.cancel();
          throw this.#failover.invalidResponse(extent);
        }
        const { observe } = this.#transport;
        const report = (fault: Fault): boolean => reportCorrupt(host, fault, observe);
        return { ...extent, body: body ?? emptyBody(), reportCorrupt: report };
      },
    );
  }
}

/** An empty blob's answer may have no body at all. */
function emptyBody(): ReadableStream<Uint8Array> {
  return new ReadableStream({ start: (stream) => stream.close() });
}
