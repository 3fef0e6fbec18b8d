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
  const byReplica = Map.groupBy(served, ({ replica }) => replica);
  const found = [...byReplica.values()].flatMap(wentBack);
  for (const pull of served) {
    const replacedAt = pushed[pull.version + 1];
    const isTooOld = replacedAt !== undefined && pull.from - replacedAt > tagTtl;
    if (isTooOld) found.push(`${textOf(pull)}, which was replaced at ${replacedAt}`);
  }
  return found;
}

/** Pulls of a replica that got an older version than one that had ended before. */
function wentBack(pulls: readonly Served[]): string[] {
  const ended = pulls.toSorted((one, other) => one.until - other.until);
  let [count, newest] = [0, -1];
  return pulls
    .toSorted((one, other) => one.from - other.from)
    .flatMap((pull) => {
      for (let next = ended[count]; next && next.until < pull.from; next = ended[count]) {
        newest = Math.max(newest, next.version);
        count += 1;
      }
      const isOlder = pull.version < newest;
      return isOlder ? `${textOf(pull)} after it had served version ${newest}` : [];
    });
}

function textOf({ replica, version, from }: Served): string {
  return `${replica} served version ${version} at ${from}`;
}
