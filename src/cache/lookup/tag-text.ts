import { setImmediate } from "node:timers/promises";

/** How many tags are handled before other work may run: about a millisecond. */
const STEP = 4096;

/**
 * Collects the tags of a registry's pages and sorts them. All work is done in steps, between which
 * other work runs: sorting 200,000 tags at once would block the event loop for 40 ms.
 */
export class TagCollector {
  readonly #runs: string[][] = [];
  #count = 0;
  #characters = 0;
  #last: string | undefined;
  #isAscending = true;

  /** @param after if given, tags up to this one are not in ascending order */
  constructor(after?: string) {
    this.#last = after;
  }

  /** How many tags were added. */
  get count(): number {
    return this.#count;
  }

  /** The length of the sorted text so far, with a separator for each tag. */
  get characters(): number {
    return this.#characters;
  }

  /** Whether every tag so far was greater than the one before it. */
  get isAscending(): boolean {
    return this.#isAscending;
  }

  async add(tags: readonly string[]): Promise<void> {
    for (let from = 0; from < tags.length; from += STEP) {
      if (from > 0) await setImmediate();
      const run = tags.slice(from, from + STEP);
      let isRunAscending = true;
      for (const tag of run) {
        if (this.#last !== undefined && tag <= this.#last) isRunAscending = false;
        this.#last = tag;
        this.#characters += tag.length + 1;
      }
      this.#count += run.length;
      this.#isAscending &&= isRunAscending;
      this.#runs.push(isRunAscending ? run : run.sort());
    }
  }

  /** All tags, sorted and without duplicates, one per line. */
  async text(): Promise<string> {
    if (this.#isAscending) return joinLines(this.#runs);
    let runs = this.#runs;
    while (runs.length > 1) {
      const merged: string[][] = [];
      for (let at = 0; at < runs.length; at += 2) {
        merged.push(await merge(runs[at] ?? [], runs[at + 1] ?? []));
      }
      runs = merged;
    }
    // One run alone may still have duplicates.
    const sorted = await merge(runs[0] ?? [], []);
    const steps: string[][] = [];
    for (let from = 0; from < sorted.length; from += STEP) {
      steps.push(sorted.slice(from, from + STEP));
    }
    return joinLines(steps);
  }
}

async function joinLines(runs: readonly (readonly string[])[]): Promise<string> {
  const texts: string[] = [];
  for (const run of runs) {
    texts.push(run.join("\n"));
    await setImmediate();
  }
  return texts.join("\n");
}

/** Merges two sorted lists without duplicates. */
async function merge(one: readonly string[], other: readonly string[]): Promise<string[]> {
  const merged: string[] = [];
  let [left, right, nextPause] = [0, 0, STEP];
  for (;;) {
    if (left + right >= nextPause) {
      nextPause += STEP;
      await setImmediate();
    }
    const [first, second] = [one[left], other[right]];
    const takesFirst = second === undefined || (first !== undefined && first <= second);
    const tag = takesFirst ? first : second;
    if (tag === undefined) return merged;
    if (takesFirst) left += 1;
    else right += 1;
    if (tag !== merged.at(-1)) merged.push(tag);
  }
}

/** At most `limit` of the tags after `last`, of sorted tags one per line, and whether more follow. */
export function tagsAfter(
  text: string,
  last: string | undefined,
  limit: number,
): { readonly tags: string[]; readonly more: boolean } {
  const tags: string[] = [];
  let at = last === undefined ? 0 : startAfter(text, last);
  while (tags.length < limit && at < text.length) {
    const end = endOfLine(text, at);
    tags.push(text.slice(at, end));
    at = end + 1;
  }
  return { tags, more: at < text.length };
}

/** Where the first line greater than `last` begins: a binary search. */
function startAfter(text: string, last: string): number {
  let [low, high] = [0, text.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const start = middle === 0 ? 0 : text.lastIndexOf("\n", middle - 1) + 1;
    const end = endOfLine(text, start);
    if (text.slice(start, end) > last) high = start;
    else low = end + 1;
  }
  return low;
}

function endOfLine(text: string, at: number): number {
  const end = text.indexOf("\n", at);
  return end < 0 ? text.length : end;
}
