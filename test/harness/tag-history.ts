/** That a replica served a version of a tag; versions count up, as they were pushed. */
export interface Served {
  readonly replica: string;
  readonly version: number;
  /** When the pull began and ended, in milliseconds of one clock. */
  readonly from: number;
  readonly until: number;
}

export interface TagHistory {
  readonly served: readonly Served[];
  /** When each version was pushed, in milliseconds of the same clock: the first one is version 0. */
  readonly pushed: readonly number[];
}

/** What is wrong with a history: pulls that got an older version than they may. */
export function violations({ served, pushed }: TagHistory, tagTtl: number): string[] {
  const found: string[] = [];
  for (const pull of served) {
    const { replica, version, from } = pull;
    const before = served.filter((one) => one.replica === replica && one.until < from);
    const newest = Math.max(-1, ...before.map((one) => one.version));
    if (version < newest) found.push(`${textOf(pull)} after it had served version ${newest}`);
    const replacedAt = pushed[version + 1];
    if (replacedAt !== undefined && from - replacedAt > tagTtl) {
      found.push(`${textOf(pull)}, which was replaced at ${replacedAt}`);
    }
  }
  return found;
}

function textOf({ replica, version, from }: Served): string {
  return `${replica} served version ${version} at ${from}`;
}
