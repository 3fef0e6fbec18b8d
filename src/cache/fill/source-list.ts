import type { Fault } from "../../oci/fault.ts";
import type { Source, Transfer } from "./source.ts";

/** Places that are known at a time; whoever asks for a content brings one. */
const MOST_SOURCES = 8;

/** Where one content can be had, and what came of asking there. */
export class SourceList {
  readonly sources: Source[];
  readonly #tried = new Set<Source>();
  readonly #takenFrom = new Set<string>();
  /** Of those whose bytes are in the present draft. */
  readonly #blames = new Set<Transfer["reportCorrupt"]>();

  constructor(source: Source) {
    this.sources = [source];
  }

  add(source: Source): void {
    const isNew = this.sources.every(({ name }) => name !== source.name);
    if (isNew && this.sources.length < MOST_SOURCES) this.sources.push(source);
  }

  remove(source: Source): void {
    this.sources.splice(this.sources.indexOf(source), 1);
  }

  hasTakenFrom({ name }: Source): boolean {
    return this.#takenFrom.has(name);
  }

  hasTried({ name }: Source): boolean {
    return [...this.#tried].some((source) => source.name === name);
  }

  /** Each source once; where one has answered before, all of them in turn. A client waits for the first answer. */
  choose(turn: number, hasAnswered: boolean): Source | undefined {
    const untried = this.sources.find((source) => !this.#tried.has(source));
    const source = untried ?? (hasAnswered ? this.sources[turn % this.sources.length] : undefined);
    if (source) this.#tried.add(source);
    return source;
  }

  opened({ reportCorrupt: blame }: Transfer): void {
    this.#blames.add(blame);
  }

  /** Its answer can be used. */
  accepted({ name }: Source): void {
    this.#takenFrom.add(name);
  }

  /** What came together is wrong, and nobody knows by whose bytes. Returns whether others are left to ask. */
  reportCorrupt(fault: Fault): boolean {
    return [...this.#blames].map((blame) => blame(fault)).includes(true);
  }

  /** Nothing of what came is used, and every source is as good as one that was not asked. */
  restart(): void {
    this.#blames.clear();
    this.#tried.clear();
  }
}
