import type { Fault } from "../../oci/fault.ts";
import type { RepositoryName } from "../../oci/names.ts";
import type { Source, Transfer } from "./source.ts";

/** Each request for a blob may add a source; more than this many are not needed. */
const MAX_SOURCES = 8;

/** The sources of one blob, and which of them were tried and accepted. */
export class SourceList {
  readonly sources: Source[];
  readonly #tried = new Set<Source>();
  /** Of sources that are not to be asked again. */
  readonly #removed = new Set<string>();
  /**
   * The places for which usable responses have vouched, and when the upstream answered for each, by a monotonic
   * clock: at any time, if it was the upstream itself that sent the response.
   */
  readonly #answeredAt = new Map<RepositoryName, number>();
  /** Of the transfers whose bytes are in the partial file, and the near source of each. */
  readonly #corruptReporters = new Map<Transfer["reportCorrupt"], Source | undefined>();

  #isFromUpstream = false;
  /** What sends the rest in place of the current source. */
  #offered: Source | undefined;
  #onOffered: () => void = () => {};

  /** @param near what is asked before the source, once each */
  constructor(source: Source, near: readonly Source[] = []) {
    this.sources = [...near, source];
  }

  /** Adds a source, unless the same one is or was listed, or the list is full. */
  add(source: Source): void {
    const isListed = this.sources.some((one) => idOf(one) === idOf(source));
    const isNew = !isListed && !this.#removed.has(idOf(source));
    const count = this.sources.filter(({ near }) => !near).length;
    if (isNew && count < MAX_SOURCES) this.sources.push(source);
  }

  /** Has a near source send the rest, which has turned out to have it, in place of whoever sends it now. */
  offer(source: Source): void {
    if (this.#offered) return;
    this.sources.unshift(source);
    this.#offered = source;
    this.#onOffered();
  }

  /** Whether a source is offered, which `next` returns. */
  get isOffered(): boolean {
    return this.#offered !== undefined;
  }

  onOffered(callback: () => void): void {
    this.#onOffered = callback;
  }

  remove(source: Source): void {
    const at = this.sources.indexOf(source);
    if (at >= 0) this.sources.splice(at, 1);
    this.#removed.add(idOf(source));
  }

  /**
   * How long ago the upstream has answered for a place, in milliseconds, if a usable response shows that the
   * place has the blob.
   */
  answeredAgo(place: RepositoryName): number | undefined {
    const at = this.#answeredAt.get(place);
    return at === undefined ? undefined : Math.max(0, performance.now() - at);
  }

  hasTried(source: Source): boolean {
    return [...this.#tried].some((one) => idOf(one) === idOf(source));
  }

  /**
   * The source to try next: first those that were not tried yet, then, if `mayRepeat`, all of them
   * round-robin. Before the first usable response a source is not repeated, since a client waits.
   */
  next(turn: number, mayRepeat: boolean): Source | undefined {
    const untried = this.#offered ?? this.sources.find((one) => !this.#tried.has(one));
    this.#offered = undefined;
    const source = untried ?? (mayRepeat ? this.sources[turn % this.sources.length] : undefined);
    if (source) this.#tried.add(source);
    return source;
  }

  /** Remembers a transfer, for `reportCorrupt`. */
  opened({ reportCorrupt }: Transfer, source?: Source): void {
    this.#corruptReporters.set(reportCorrupt, source?.near && source);
  }

  /** Whether some of the bytes came from what vouches for no place: nobody has asked an upstream about them. */
  get areBytesUnvouched(): boolean {
    return [...this.#corruptReporters.values()].some((near) => near && !near.vouchesFor);
  }

  /** Whether any usable response was the upstream's own. */
  get isFromUpstream(): boolean {
    return this.#isFromUpstream;
  }

  /** Remembers that the source's response was usable, and how long ago the upstream answered it. */
  accepted({ vouchesFor, near }: Source, answeredAgo = 0): void {
    if (!near) this.#isFromUpstream = true;
    if (vouchesFor === undefined) return;
    const at = near ? performance.now() - answeredAgo : Infinity;
    this.#answeredAt.set(vouchesFor, Math.max(at, this.#answeredAt.get(vouchesFor) ?? -Infinity));
  }

  /**
   * Reports all transfers of the partial file as corrupt: which of them sent the wrong bytes is not
   * known. Near sources among them are asked no more. Returns whether the blob would now be taken from elsewhere.
   */
  reportCorrupt(fault: Fault): boolean {
    const isElsewhere = [...this.#corruptReporters].map(([report, near]) => {
      if (near) this.remove(near);
      return report(fault) || near !== undefined;
    });
    return isElsewhere.includes(true);
  }

  /** Starts over with an empty partial file: every source counts as untried. */
  restart(): void {
    this.#corruptReporters.clear();
    this.#tried.clear();
  }
}

/** Where it downloads, and as whom. */
function idOf({ name, askedAs }: Source): string {
  return askedAs === undefined ? name : `${name} ${askedAs}`;
}
