import type Semver from "semver";
import { EventLoopYielder } from "../../event-loop/event-loop-yielder.ts";
import { starMatcher } from "../../oci/image-pattern.ts";
import { parseTag, type Tag } from "../../oci/names.ts";

/** What was found among the tags of a repository. */
export interface SelectedTags {
  /** The highest versions first. */
  readonly tags: readonly Tag[];
  /** How many match, which may be more. */
  readonly matching: number;
}

/** Chooses among the tags of a repository, of which there may be 200,000, in turns. */
export type TagSelection = (tags: readonly string[], max: number) => Promise<SelectedTags>;

interface Version {
  readonly tag: Tag;
  readonly version: Semver.SemVer;
}

/** A version that a tag may be: `1.2.3`, `v1.2.3-rc.1`, or a short one such as `22` and `3.10`. */
const SHORT = /^v?(\d{1,4}(?:\.\d{1,9})?)$/;
const LONGER = /^v?(\d{1,9})\.(\d{1,9})(\.\d{1,9})?$/;

/** Only where a range is configured or asked for: it takes 10 MB. */
function semver(): typeof Semver {
  // The types of the package are those of what it exports.
  return require("semver") as typeof Semver;
}

/**
 * Those whose version is in a range, as npm has them. Of `22`, `22.1` and `22.1.0`, only the last counts: the
 * others move. Where nothing longer is there, they count as well.
 *
 * @returns undefined if the text is no range
 */
export function inRange(text: string): TagSelection | undefined {
  if (text.trim() === "" || semver().validRange(text) === null) return undefined;
  const range = new (semver().Range)(text);
  return async (tags, max) => {
    const turns = new EventLoopYielder();
    const longer = new Set<string>();
    for (const tag of tags) {
      const [, major = "", minor = "", patch] = LONGER.exec(tag) ?? [];
      if (major !== "") longer.add(major);
      if (patch !== undefined) longer.add(`${major}.${minor}`);
      await turns.pause();
    }
    return highest(tags, max, (tag) => {
      const short = SHORT.exec(tag)?.[1];
      if (short !== undefined && longer.has(short)) return undefined;
      const version = short === undefined ? semver().parse(tag) : semver().coerce(short);
      return version && range.test(version) ? version : undefined;
    });
  };
}

/** Those that match a pattern with stars, in the order of the versions that they contain. */
export function likePattern(pattern: string): TagSelection | undefined {
  if (!/^[\w*.-]{1,200}$/.test(pattern)) return undefined;
  const matches = starMatcher(pattern);
  return (tags, max) => {
    const none = new (semver().SemVer)("0.0.0");
    return highest(tags, max, (tag) => (matches(tag) ? (semver().coerce(tag) ?? none) : undefined));
  };
}

async function highest(
  tags: readonly string[],
  max: number,
  versionOf: (tag: Tag) => Semver.SemVer | undefined,
): Promise<SelectedTags> {
  const turns = new EventLoopYielder();
  const found: Version[] = [];
  let matching = 0;
  for (const text of tags) {
    await turns.pause();
    const tag = parseTag(text);
    const version = tag && versionOf(tag);
    if (!tag || !version) continue;
    matching += 1;
    insert(found, { tag, version }, max);
  }
  return { tags: found.map(({ tag }) => tag), matching };
}

/** Keeps the highest ones, in order. */
function insert(found: Version[], added: Version, max: number): void {
  let [from, to] = [0, found.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    const other = found[middle];
    if (other && isBefore(other, added)) from = middle + 1;
    else to = middle;
  }
  found.splice(from, 0, added);
  if (found.length > max) found.pop();
}

function isBefore(one: Version, other: Version): boolean {
  const order = semver().rcompare(one.version, other.version);
  return order === 0 ? one.tag > other.tag : order < 0;
}
