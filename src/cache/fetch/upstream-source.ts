import type { Digest } from "../../oci/digest.ts";
import type { ByteRange } from "../../oci/range.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { Upstream } from "../upstream.ts";
import { HeldPermit } from "../../upstream/transport/held-permit.ts";
import { KnownRedirect } from "../../upstream/known-redirect.ts";
import type { Source, Transfer, TransferUse } from "./source.ts";

/** Downloads a blob from a repository of an upstream. */
export class UpstreamSource implements Source {
  readonly #upstream: Upstream;
  readonly #repo: RepositoryRef;
  readonly #digest: Digest;
  readonly #isBackground: (() => boolean) | undefined;
  /** Mirrors that were too slow, by URL. */
  readonly #avoided = new Set<string>();
  readonly #redirect = new KnownRedirect();
  readonly #place = new HeldPermit();

  /** @param isBackground whether no client waits for the blob now; by default, one does */
  constructor(
    upstream: Upstream,
    repo: RepositoryRef,
    digest: Digest,
    isBackground?: () => boolean,
  ) {
    this.#isBackground = isBackground;
    this.#upstream = upstream;
    this.#repo = repo;
    this.#digest = digest;
  }

  get name(): string {
    return `${this.#repo.upstream}/${this.#repo.repository}`;
  }

  get upstream(): RepositoryRef["upstream"] {
    return this.#repo.upstream;
  }

  get maxConnections(): number {
    return this.#upstream.registry.maxConnections;
  }

  get repository(): RepositoryRef["repository"] {
    return this.#repo.repository;
  }

  get askedAs(): string | undefined {
    return this.#upstream.registry.askedAs;
  }

  get vouchesFor(): RepositoryRef["repository"] {
    return this.#repo.repository;
  }

  get isHeldBack(): boolean {
    return this.#upstream.registry.isAtMaxRate;
  }

  get hasRoom(): boolean {
    return this.#upstream.registry.hasRoom;
  }

  open(
    offset: number,
    signal: AbortSignal,
    end?: number,
    use: TransferUse = "single",
  ): Promise<Transfer> {
    const options = {
      signal,
      isExtra: use === "extra",
      isBackground: this.#isBackground,
      avoided: this.#avoided,
      redirect: this.#redirect,
      // Who streams to a client reads on when that does: others need the memory meanwhile.
      lends: use !== "single",
      ...(use === "own" ? { place: this.#place } : {}),
      ...(end === undefined ? {} : { end }),
    };
    return this.#upstream.registry.getBlob(this.#repo.repository, this.#digest, offset, options);
  }

  pause(): void {
    this.#place.release();
  }

  /**
   * Opens a transfer of a byte range alone, beside a fill, which has those bytes later. A chunk belongs to its reader.
   */
  range({ first, last }: ByteRange): Promise<Transfer> {
    const { registry } = this.#upstream;
    const options = { end: last + 1, avoided: this.#avoided, isExtra: true };
    return registry.getBlob(this.#repo.repository, this.#digest, first, options);
  }
}
