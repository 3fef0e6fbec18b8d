import type { Entrepot } from "./entrepot.ts";

/** What `/readyz` and `status` say is wrong. */
export async function problemsOf(cache: Entrepot): Promise<readonly string[]> {
  const ready = await cache.getAdmin("/readyz");
  const reason = (await ready.text()).trim();
  const { problems } = await statusOf(cache);
  return [...(ready.status === 200 ? [] : [`not ready: ${reason}`]), ...problems];
}

/** Those of them of which nothing says how long ago they were. */
export function present(problems: readonly string[]): readonly string[] {
  return problems.filter((problem) => !/ ago\b/.test(problem));
}

/** The part of the status that is compared with the data directory. */
export interface StatusFigures {
  readonly storage: {
    readonly blobs: number;
    readonly partialBytes: number;
  };
  readonly fills: readonly unknown[];
  readonly problems: readonly string[];
}

export async function statusOf(cache: Entrepot): Promise<StatusFigures> {
  const response = await cache.getAdmin("/api/v1/status");
  // By `statusSchema`, which the commands check it against.
  return (await response.json()) as StatusFigures;
}

/** How many blobs this process has evicted to stay below `maxSize`, or purged. */
export async function evictedBlobs(cache: Entrepot): Promise<number> {
  const metrics = await (await cache.getAdmin("/metrics")).text();
  const counts = metrics.matchAll(
    /^entrepot_removed_blobs_total\{reason="(?:max-size|purge)"\} (\d+)/gm,
  );
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}
