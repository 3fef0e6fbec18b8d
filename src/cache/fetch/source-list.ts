import type { Fault } from "../../oci/fault.ts";
import type { Source, Transfer } from "./source.ts";

/** Each request for a blob may add a source; more than this many are not needed. */
const MAX_SOURCES = 8;

/** The sources of one blob, and which of them were tried and accepted. */
export class SourceList {
  readonly sources: Source[];
  readonly #tried = new Set<Source>();
  /** Names of sources that are not to be asked again. */
  readonly #removed = new Set<string>();
  /** Names of sources whose response was usable. */
  readonly #accepted = new Set<string>();
  /** Of the transfers whose bytes are in the partial file. */
  readonly #corruptReporters = new Set<Transfer["reportCorrupt"]>();

  constructor(source: Source) {
    this.sources = [source];
  }

  /** Adds a source, unless one of this name is or was listed, or the list is full. */
  add(source: Source): void {
    const isListed = this.sources.some(({ name }) => name === source.name);
    const isNew = !isListed && !this.#removed.has(source.name);
    if (isNew && this.sources.length < MAX_SOURCES) this.sources.push(source);
  }

  remove(source: Source): void {
    this.sources.splice(this.sources.indexOf(source), 1);
    this.#removed.add(source.name);
  }

  /** Whether a response of this source was usable, which proves that it has the blob. */
  hasAccepted({ name }: Source): boolean {
    return this.#accepted.has(name);
  }

  hasTried({ name }: Source): boolean {
    return [...this.#tried].some((source) => source.name === name);
  }

  /**
   * The source to try next: first those that were not tried yet, then, if `mayRepeat`, all of them
   * round-robin. Before the first usable response a source is not repeated, since a client waits.
   */
  next(turn: number, mayRepeat: boolean): Source | undefined {
    const untried = this.sources.find((source) => !this.#tried.has(source));
    const source = untried ?? (mayRepeat ? this.sources[turn % this.sources.length] : undefined);
    if (source) this.#tried.add(source);
    return source;
  }

  /** Remembers a transfer, for `reportCorrupt`. */
  opened({ reportCorrupt }: Transfer): void {
    this.#corruptReporters.add(reportCorrupt);
  }

  /** Remembers that the source's response was usable. */
  accepted({ name }: Source): void {
    this.#accepted.add(name);
  }

  /**
   * Reports all transfers of the partial file as corrupt: which of them sent the wrong bytes is not
   * known. Returns whether a source would now take the blob from elsewhere.
   */
  reportCorrupt(fault: Fault): boolean {
    return [...this.#corruptReporters].map((report) => report(fault)).includes(true);
  }

  /** Starts over with an empty partial file: every source counts as untried. */
  restart(): void {
    this.#corruptReporters.clear();
    this.#tried.clear();
  }
}
