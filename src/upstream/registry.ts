import type { UpstreamSettings } from "../config/settings.ts";
import type { Digest } from "../oci/digest.ts";
import type { RepositoryName, Tag } from "../oci/names.ts";
import type { Fault } from "../oci/fault.ts";
import { openBlob, probeBlob } from "./blob-requests.ts";
import type { BlobOptions, BlobTransfer, RequestOptions } from "./blob-transfer.ts";
import type { CircuitBreaker } from "./health/circuit-breaker.ts";
import { Hosts, type HostStatus } from "./hosts.ts";
import { Failover } from "./failover.ts";
import { type ClientCredentials, ClientKeyring } from "./auth/client-keyring.ts";
import { ANONYMOUS, type CredentialStatus } from "./auth/keyring.ts";
import type { Budget } from "./health/budget.ts";
import type { Rest } from "./health/rest.ts";
import { listReferrers, listTags, type TagPage, type TagPageQuery } from "./list-requests.ts";
import {
  type FetchedManifest,
  getManifest,
  headManifest,
  type ManifestHead,
} from "./manifest-requests.ts";
import { probeHost } from "./probe-host.ts";
import { openInTurn } from "./rates/open-in-turn.ts";
import type { RateStatus } from "./rates/download-rates.ts";
import type { RegistryTransport } from "./registry-transport.ts";

export interface RegistryOptions {
  readonly circuit?: CircuitBreaker | undefined;
  /** Those of another client of this registry, whose health they share. */
  readonly hosts?: Hosts;
  /** Whether mirrors are not asked. */
  readonly skipsMirrors?: boolean;
  /** See `Registry.askedAs`. */
  readonly askedAs?: string;
}

/**
 * The client for one upstream registry and its mirrors. Every method rejects with a `Fault`, or with the
 * signal's reason if the caller aborted.
 */
export class Registry {
  readonly #transport: RegistryTransport;
  readonly #hosts: Hosts;
  readonly #failover: Failover;
  readonly #askedAs: string | undefined;
  #settings: UpstreamSettings;

  constructor(
    settings: UpstreamSettings,
    transport: RegistryTransport,
    { circuit, hosts, skipsMirrors, askedAs }: RegistryOptions = {},
  ) {
    this.#askedAs = askedAs;
    this.#settings = settings;
    this.#transport = transport;
    this.#hosts =
      hosts ??
      new Hosts(settings, {
        probe: (view, url) => probeHost(transport, view, url),
        circuit,
        pooled: transport.pooledLimits,
      });
    this.#failover = new Failover(settings, transport, this.#hosts, skipsMirrors);
  }

  /** The same registry, asked for what it shows to anybody, with its own credentials. */
  forPublic(): Registry {
    const transport = { ...this.#transport, keyring: this.#transport.publicKeyring };
    return new Registry(this.#settings, transport, { hosts: this.#hosts });
  }

  /**
   * The same registry, asked with the credentials of a client in place of its own, or with none. Its health
   * is the same; its rate limits are those of the account.
   *
   * @param options.skipsMirrors whether the registry itself is to answer, and no mirror for it
   * @param options.asksAnew whether it is to say what it shows now: no token that it gave before is used
   */
  asClient(
    credentials: ClientCredentials | undefined,
    {
      skipsMirrors = false,
      asksAnew = false,
    }: { readonly skipsMirrors?: boolean; readonly asksAnew?: boolean } = {},
  ): Registry {
    const keyring = new ClientKeyring(this.#settings, credentials);
    const { clientTokens } = this.#transport;
    const tokens = asksAnew ? clientTokens.fromNowOn() : clientTokens;
    const transport = { ...this.#transport, keyring, tokens };
    const askedAs = credentials?.account ?? ANONYMOUS;
    return new Registry(this.#settings, transport, { hosts: this.#hosts, skipsMirrors, askedAs });
  }

  /** Whose credentials its requests carry, where they are not the upstream's own. */
  get askedAs(): string | undefined {
    return this.#askedAs;
  }

  /** The upstream's name, as in image references: `docker.io`. */
  get name(): UpstreamSettings["name"] {
    return this.#settings.name;
  }

  get settings(): UpstreamSettings {
    return this.#settings;
  }

  /** Applies changed settings of the same upstream. Requests in flight keep the old ones. */
  configure(settings: UpstreamSettings): void {
    this.#settings = settings;
    this.#failover.configure(settings);
  }

  /**
   * Whether cached content should be served without a request, because requests fail or are
   * rate-limited. After a rate limit's back-off, the first caller gets `false` and is expected to send a
   * request: reading this property is what admits that probe.
   */
  get isUnhealthy(): boolean {
    return this.#hosts.isUnhealthy(this.#account);
  }

  /** Whether it may be asked for what no client needs yet: it fails nothing and limits nothing at the moment. */
  get isAtEase(): boolean {
    return this.#hosts.isAtEase(this.#account);
  }

  /** Why it is left alone for a while by what no client waits for; `undefined` if it need not be. */
  get rest(): Rest | undefined {
    return this.#hosts.rest(this.#account);
  }

  /** The last failure since its last response, for messages. */
  get fault(): Fault | undefined {
    return this.#hosts.fault;
  }

  /** It counted as dead (see `Outages`), and does no more. */
  outageEnded(): void {
    this.#hosts.forgetFailures();
  }

  /** For how much of the last so many milliseconds it was slow to answer a request. */
  waitedWithin(milliseconds: number): number {
    return this.#transport.dialer.waitsFor(this.name).within(milliseconds);
  }

  /** Whether one more download would begin at once, without keeping others waiting. */
  get hasRoom(): boolean {
    return this.#transport.limiter.hasRoom("blob", this.name, this.maxConnections);
  }

  /** On how many connections blobs may be downloaded from it here: replicas share those of the settings. */
  get maxConnections(): number {
    return this.#transport.connections(this.#settings);
  }

  /** What it may send, and sends: see `maxRate` of its settings. */
  get rate(): RateStatus {
    return this.#transport.rates.status(this.name);
  }

  /** Whether `maxRate` is what its downloads wait for, so that none is faster over more connections. */
  get isAtMaxRate(): boolean {
    return this.#transport.rates.isHoldingBack(this.name);
  }

  /** The requests that it still allows, if its headers reported them. */
  get budget(): Budget | undefined {
    return this.#hosts.all.at(-1)?.limits.budget(this.#account);
  }

  /** Whether the rest of the budget should be reserved for content that is not cached yet. */
  get isBudgetLow(): boolean {
    return this.#hosts.all.at(-1)?.limits.isBudgetLow(this.#account) ?? false;
  }

  /** The state of each host, in the order in which they are tried. */
  get status(): readonly HostStatus[] {
    return this.#hosts.status(this.#account);
  }

  get credentials(): CredentialStatus {
    return this.#transport.keyring.status(this.#settings);
  }

  get #account(): string {
    return this.#transport.keyring.account(this.#settings.name);
  }

  /**
   * Sends a HEAD for a manifest. The result is unverified. Docker Hub does not count it as a pull.
   *
   * @returns `undefined` if the HEAD fails in a way that says nothing of GET
   */
  async headManifest(
    repository: RepositoryName,
    reference: Tag | Digest,
    { signal }: RequestOptions = {},
  ): Promise<ManifestHead | undefined> {
    return headManifest(this.#failover, repository, reference, signal);
  }

  /**
   * Fetches a manifest of at most 8 MiB. Its bytes match the digest in the reference, or else the one in
   * Docker-Content-Digest.
   */
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
   * @param offset the first byte to fetch
   * @throws Fault `invalid-range` if the registry answers 416
   */
  async getBlob(
    repository: RepositoryName,
    digest: Digest,
    offset: number,
    { isBackground, ...options }: BlobOptions = {},
  ): Promise<BlobTransfer> {
    const { signal } = options;
    const download = { upstream: this.name, blob: digest, isBackground, signal };
    return openInTurn(this.#transport.rates, download, (turns) =>
      openBlob(this.#failover, this.#transport, {
        permit: "blob",
        repository,
        digest,
        offset,
        ...options,
        turns,
      }),
    );
  }

  /**
   * Checks that a blob can be read now, through every redirect: fetches its first byte and discards it.
   * See `QUIRKS.blobProbeRange` for why this is not a HEAD.
   *
   * @returns the blob's size in bytes, if the registry stated it
   */
  async probeBlob(
    repository: RepositoryName,
    digest: Digest,
    { signal }: RequestOptions = {},
  ): Promise<{ readonly size?: number }> {
    return probeBlob(this.#failover, this.#transport, repository, digest, signal);
  }

  /**
   * Fetches one page of a repository's tags.
   *
   * @param page.n the page size, from 1 to `QUIRKS.maxTagsPerPage`; other values are clamped
   * @param page.last the tag after which the page begins
   * @param page.next where the page before says that this one is
   */
  async listTags(
    repository: RepositoryName,
    page: TagPageQuery,
    { signal }: RequestOptions = {},
  ): Promise<TagPage> {
    return listTags(this.#failover, repository, page, signal);
  }

  /**
   * Fetches the descriptors of all manifests that refer to a digest. They are unfiltered, and only
   * checked to be objects.
   *
   * @returns `undefined` if the registry lacks the API, so that the referrers tag must be read
   */
  async referrers(
    repository: RepositoryName,
    digest: Digest,
    { signal }: RequestOptions = {},
  ): Promise<readonly Record<string, unknown>[] | undefined> {
    return listReferrers(this.#failover, repository, digest, signal);
  }
}
