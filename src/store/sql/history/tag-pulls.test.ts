import { expect, test } from "bun:test";
import { DAY_MS, HOUR_MS, type TagPulls } from "../../history-store.ts";
import type { MetadataStore } from "../../metadata-store.ts";
import { digestNumber, repositoryRef, tag } from "../../storetest/sample-names.ts";
import { openMetadata } from "../open-metadata.ts";
import { MAX_TAG_PULLS } from "./tag-pulls.ts";

const DAY = DAY_MS * 20_000;
const node = repositoryRef("docker.io", "library/node");
const [older, newer] = [digestNumber(1), digestNumber(2)];

async function withHistory(work: (metadata: MetadataStore) => Promise<void>): Promise<void> {
  const metadata = await openMetadata(":memory:");
  try {
    await work(metadata);
  } finally {
    await metadata.close();
  }
}

function pulled(some: Partial<TagPulls>): TagPulls {
  return { repo: node, tag: tag("24"), digest: older, pulledAt: DAY, pulls: 1, ...some };
}

function add({ history }: MetadataStore, minute: number, ...tagPulls: TagPulls[]): Promise<void> {
  const disk = { used: 0, evicted: 0 };
  return history.add({ minute, upstreams: new Map(), disk, nodes: [], clients: [], tagPulls });
}

test("what clients got for a tag is counted by hour and digest, with when that was last", () =>
  withHistory(async (metadata) => {
    await add(metadata, DAY, pulled({ pulledAt: DAY + 5, pulls: 2 }));
    await add(
      metadata,
      DAY,
      pulled({ pulledAt: DAY + 3 }),
      pulled({ digest: newer, pulledAt: DAY + 7 }),
    );
    await add(metadata, DAY, pulled({ pulledAt: DAY + HOUR_MS }));
    const { digest: _digest, ...refused } = pulled({ tag: tag("25"), pulledAt: DAY + 1 });
    await add(metadata, DAY, refused, pulled({ tag: tag("22"), pulledAt: DAY + 9 }));
    const all = await metadata.history.tagPulls(DAY, 10);
    expect(all).toEqual([
      pulled({ tag: tag("22"), pulledAt: DAY + 9 }),
      pulled({ pulledAt: DAY + 5, pulls: 3 }),
      pulled({ digest: newer, pulledAt: DAY + 7 }),
      pulled({ pulledAt: DAY + HOUR_MS }),
      refused,
    ]);
    expect(await metadata.history.tagPulls(DAY + 6, 10)).toHaveLength(3);
    expect(await metadata.history.tagPullsBegin()).toBe(DAY + 1);
    expect(await metadata.history.tagPulls(DAY, 2)).toEqual(all.slice(0, 2));
  }));

test("pulls are kept for thirty days, and no more than so many", () =>
  withHistory(async (metadata) => {
    const { history } = metadata;
    expect(await history.tagPullsBegin()).toBeUndefined();
    await add(metadata, DAY, pulled({}));
    await add(metadata, DAY + 29 * DAY_MS, pulled({ pulledAt: DAY + 29 * DAY_MS }));
    await history.prune(DAY + 31 * DAY_MS);
    expect(await history.tagPulls(0, 10)).toHaveLength(1);
    const many = Array.from({ length: MAX_TAG_PULLS + 10 }, (_, number) =>
      pulled({ tag: tag(`t${number}`), pulledAt: DAY + 30 * DAY_MS + number }),
    );
    await add(metadata, DAY + 30 * DAY_MS, ...many);
    await history.prune(DAY + 31 * DAY_MS);
    expect(await history.tagPulls(0, 2 * MAX_TAG_PULLS)).toHaveLength(MAX_TAG_PULLS);
  }));
