import type { NearSources } from "../../cache/fetch/near-sources.ts";
import type { NearLimits, Source, Transfer } from "../../cache/fetch/source.ts";
import type { Fill } from "../../cache/fill/fill.ts";
import { withTimeout } from "../../cache/with-timeout.ts";
import type { RepositoryName, UpstreamName } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";

/** How often the others are asked, and how long after each other, in milliseconds: one may be about to take over. */
const LOOKS = 4;
const PAUSE_MS = 500;
/** Whoever has said nothing else by then has the blob, but not as far as it is here, in milliseconds. */
const DECIDED_MS = 300;

/**
 * Downloads of this replica that others may have taken over: it was stopped for a while, or the network was, and they
 * went on without it. The rest then comes from them, and not from the upstream once more.
 */
export class TakenOver {
  readonly #here: NearSources;
  readonly #looking = new Set<Fill>();

  /** @param here the other replicas, which are asked only for what they have */
  constructor(here: NearSources) {
    this.#here = here;
  }

  /** Another replica has left a download before its end. */
  async look(fill: Fill, repo: RepositoryRef): Promise<void> {
    if (this.#looking.has(fill)) return;
    this.#looking.add(fill);
    try {
      for (let looks = 0; looks < LOOKS && !fill.isVerified && !fill.isSettled; looks += 1) {
        if (looks > 0) await withTimeout(PAUSE_MS, fill.ended);
        if (await this.#offer(fill, repo)) return;
      }
    } finally {
      this.#looking.delete(fill);
    }
  }

  async #offer(fill: Fill, repo: RepositoryRef): Promise<boolean> {
    for (const source of this.#here.of(repo, fill.digest, fill.size)) {
      const opened = new OpenedSource(source, fill.available);
      const isOpen = await withTimeout(DECIDED_MS, opened.isOpen);
      // Its own clients do not wait until another one has come as far.
      const isBetter = isOpen ?? fill.followers.count === 0;
      if (isBetter && !fill.isVerified && !fill.isSettled) {
        void fill.ended.then(() => opened.close());
        fill.sources.offer(opened);
        return true;
      }
      opened.close();
    }
    return false;
  }
}

/** A source that is being opened already. */
class OpenedSource implements Source {
  readonly upstream: UpstreamName;
  readonly name: string;
  readonly vouchesFor?: RepositoryName;
  readonly near?: NearLimits;
  /** Whether it sends the blob. Never rejects. */
  readonly isOpen: Promise<boolean>;
  readonly #source: Source;
  readonly #offset: number;
  readonly #abort = new AbortController();
  #transfer: Promise<Transfer> | undefined;

  constructor(source: Source, offset: number) {
    const { upstream, name, vouchesFor, near } = source;
    this.upstream = upstream;
    this.name = name;
    if (vouchesFor) this.vouchesFor = vouchesFor;
    if (near) this.near = near;
    this.#source = source;
    this.#offset = offset;
    this.#transfer = source.open(offset, this.#abort.signal);
    this.isOpen = this.#transfer.then(
      () => true,
      () => false,
    );
  }

  open(offset: number, signal: AbortSignal): Promise<Transfer> {
    const transfer = this.#transfer;
    this.#transfer = undefined;
    if (!transfer || offset < this.#offset) {
      this.close();
      return this.#source.open(offset, signal);
    }
    signal.addEventListener("abort", () => this.close(), { once: true });
    return transfer;
  }

  /** Ends what it sends. */
  close(): void {
    this.#abort.abort();
  }
}
