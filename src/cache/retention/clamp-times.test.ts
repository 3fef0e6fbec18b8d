import { expect, test } from "bun:test";
import { openMetadata } from "../../store/sql/open-metadata.ts";
import { digestNumber, repositoryRef, tag } from "../../store/storetest/sample-names.ts";
import { clampTimes } from "./clamp-times.ts";

const DAY_MS = 86_400_000;
const NOW = 20_000 * DAY_MS;
const nginx = repositoryRef("docker.io", "library/nginx");

/** When blobs were used, after a look at the clock. A tag that was seen with the latest has the same time. */
async function usedAfterLook(used: readonly number[], now: number, uptime = 0): Promise<number[]> {
  const metadata = await openMetadata(":memory:");
  const { blobs, tags, tagHistory } = metadata;
  try {
    for (const [number, at] of used.entries()) {
      await blobs.put({ digest: digestNumber(number), size: 1 }, at);
    }
    const last = Math.max(...used);
    await tags.put(nginx, tag("1"), { digest: digestNumber(0), checkedAt: last });
    await clampTimes(metadata, now, uptime);
    const [stay] = await tagHistory.of(nginx, tag("1"));
    const after = (await blobs.leastRecentlyUsed(10)).map(({ usedAt }) => usedAt);
    expect(stay).toMatchObject({ firstSeen: after.at(-1), lastSeen: after.at(-1) });
    return after;
  } finally {
    await metadata.close();
  }
}

test("what a clock that was ahead has left is set to now", async () => {
  const used = [NOW - 2 * DAY_MS, NOW - DAY_MS, NOW + 400 * DAY_MS];
  expect(await usedAfterLook(used, NOW)).toEqual([NOW - 2 * DAY_MS, NOW - DAY_MS, NOW]);
});

test("a clock of 1970 changes no time, unless the process has run with it for a day", async () => {
  const used = [NOW - 2 * DAY_MS, NOW - DAY_MS, NOW];
  expect(await usedAfterLook(used, 1000)).toEqual(used);
  expect(await usedAfterLook(used, DAY_MS, DAY_MS)).toEqual([DAY_MS, DAY_MS, DAY_MS]);
});

test("a clock that was set back by an hour is believed", async () => {
  expect(await usedAfterLook([NOW + 3_600_000], NOW)).toEqual([NOW]);
});
