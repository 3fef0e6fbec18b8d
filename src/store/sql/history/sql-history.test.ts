import { expect, test } from "bun:test";
import type { Tag } from "../../../oci/names.ts";
import { DAY_MS, type Figures, HOUR_MS, MINUTE_MS, NO_FIGURES } from "../../history-store.ts";
import type { MetadataStore } from "../../metadata-store.ts";
import { digestNumber, repositoryRef, tag } from "../../storetest/sample-names.ts";
import { openMetadata } from "../open-metadata.ts";

const DAY = DAY_MS * 20_000;
const nginx = repositoryRef("docker.io", "library/nginx");

async function withHistory(work: (metadata: MetadataStore) => Promise<void>): Promise<void> {
  const metadata = await openMetadata(":memory:");
  try {
    await work(metadata);
  } finally {
    await metadata.close();
  }
}

function figures(some: Partial<Figures>): Figures {
  return { ...NO_FIGURES, ...some };
}

/** Adds figures of docker.io to a minute. */
function add({ history }: MetadataStore, minute: number, some: Partial<Figures>): Promise<void> {
  const upstreams = new Map([["docker.io", figures(some)]]);
  const disk = { used: 0, evicted: 0 };
  return history.add({ minute, upstreams, disk, nodes: [], clients: [] });
}

test("what is added to a minute twice is added up, in the minute and in its hour", () =>
  withHistory(async (metadata) => {
    await add(metadata, DAY, { cacheable: 1, sent_bytes: 3 });
    await add(metadata, DAY, { cacheable: 2, sent_bytes: 4 * 2 ** 40 });
    await add(metadata, DAY + 59 * MINUTE_MS, { cacheable: 10 });
    await add(metadata, DAY + HOUR_MS, { cacheable: 100 });
    const of = (resolution: typeof MINUTE_MS | typeof HOUR_MS) =>
      metadata.history.of("docker.io", { resolution, from: DAY, step: resolution });

    expect(await of(MINUTE_MS)).toEqual([
      { at: DAY, figures: figures({ cacheable: 3, sent_bytes: 4 * 2 ** 40 + 3 }) },
      { at: DAY + 59 * MINUTE_MS, figures: figures({ cacheable: 10 }) },
      { at: DAY + HOUR_MS, figures: figures({ cacheable: 100 }) },
    ]);
    expect(await of(HOUR_MS)).toEqual([
      { at: DAY, figures: figures({ cacheable: 13, sent_bytes: 4 * 2 ** 40 + 3 }) },
      { at: DAY + HOUR_MS, figures: figures({ cacheable: 100 }) },
    ]);
  }));

test("periods are added up to steps that begin at the moment that is asked for", () =>
  withHistory(async (metadata) => {
    for (let minute = 0; minute < 10; minute += 1) {
      await add(metadata, DAY + minute * MINUTE_MS, { answered: 10 ** minute });
    }
    const from = DAY + MINUTE_MS;
    const step = 4 * MINUTE_MS;
    const steps = await metadata.history.of("docker.io", { resolution: MINUTE_MS, from, step });

    expect(
      steps.map(({ at, figures: { answered } }) => [(at - from) / MINUTE_MS, answered]),
    ).toEqual([
      [0, 11_110],
      [4, 111_100_000],
      [8, 1_000_000_000],
    ]);
    expect(await metadata.history.of("ghcr.io", { resolution: MINUTE_MS, from, step })).toEqual([]);
    expect(await metadata.history.upstreams()).toEqual(["docker.io"]);
  }));

/** The moments of which anything is kept. */
async function kept({ history }: MetadataStore, resolution: typeof MINUTE_MS | typeof HOUR_MS) {
  const query = { resolution, from: 0, step: resolution };
  return (await history.of("docker.io", query)).map(({ at }) => at);
}

test("minutes are kept for a day, hours for thirty", () =>
  withHistory(async (metadata) => {
    const now = DAY + 40 * DAY_MS;
    const moments = [DAY, now - 29 * DAY_MS, now - 2 * DAY_MS, now - HOUR_MS];
    for (const moment of moments) await add(metadata, moment, { answered: 1 });
    await metadata.history.prune(now);
    expect(await kept(metadata, MINUTE_MS)).toEqual(moments.slice(3));
    expect(await kept(metadata, HOUR_MS)).toEqual(moments.slice(1));
  }));

test("a clock that is behind what is kept removes nothing for its age, and what is kept is bounded all the same", () =>
  withHistory(async (metadata) => {
    const moments = [DAY, DAY + 40 * DAY_MS];
    for (const moment of moments) await add(metadata, moment, { answered: 1 });
    for (const now of [0, DAY + HOUR_MS, DAY + 39 * DAY_MS]) await metadata.history.prune(now);
    expect(await kept(metadata, HOUR_MS)).toEqual(moments);
    // The clock was wrong for an hour, and years ahead: what follows takes the place of what was before.
    const count = 24 * 60 + 10;
    for (let minute = 0; minute < count; minute += 1) {
      await add(metadata, DAY + DAY_MS + minute * MINUTE_MS, { answered: 1 });
    }
    await metadata.history.prune(DAY + 3 * DAY_MS);
    const minutes = await kept(metadata, MINUTE_MS);
    expect([minutes.length, minutes.at(-1)]).toEqual([24 * 60 + 2, moments[1]]);
  }));

test("the images that clients pulled since a moment are told once each", () =>
  withHistory(async ({ history }) => {
    const pulled = (client: string, reference: string, pulledAt: number) => {
      return { repo: nginx, reference: tag(reference), client, pulledAt, pulls: 1 };
    };
    const clients = [pulled("a", "1", DAY), pulled("b", "1", DAY + 9), pulled("a", "2", DAY - 1)];
    await history.add({ minute: DAY, upstreams: new Map(), nodes: [], clients });
    expect(await history.pulledSince(DAY)).toEqual([
      { repo: nginx, reference: tag("1"), pulledAt: DAY + 9 },
    ]);
  }));

test("the disk's use is the last one of a step, and what was evicted is added up", () =>
  withHistory(async ({ history }) => {
    const batch = { upstreams: new Map(), nodes: [], clients: [] };
    await history.add({ ...batch, minute: DAY, disk: { used: 5, evicted: 1 } });
    await history.add({ ...batch, minute: DAY, disk: { used: 4, evicted: 2 } });
    const query = { resolution: HOUR_MS, from: DAY, step: HOUR_MS } as const;
    expect(await history.disk(query)).toEqual([{ at: DAY, used: 4, evicted: 3 }]);
  }));

test("a digest has the tag that was confirmed last", () =>
  withHistory(async ({ tags, history }) => {
    const digest = digestNumber(1);
    await tags.put(nginx, tag("1.27"), { digest, checkedAt: DAY });
    await tags.put(nginx, tag("latest"), { digest, checkedAt: DAY + 1 });
    expect(await history.tagOf(nginx, digest)).toBe("latest" as Tag);
    expect(await history.tagOf(repositoryRef("ghcr.io", "library/nginx"), digest)).toBeUndefined();
  }));

test("who pulled an image is kept with how often, the latest first", () =>
  withHistory(async ({ history }) => {
    const pull = (client: string, pulledAt: number, pulls: number) => ({
      minute: DAY,
      upstreams: new Map(),
      nodes: [],
      clients: [{ repo: nginx, reference: tag("1.27"), client, pulledAt, pulls }],
    });
    await history.add(pull("10.0.0.1", DAY, 2));
    await history.add(pull("10.0.0.2", DAY + 1, 1));
    await history.add(pull("10.0.0.1", DAY + 2, 3));
    const pulled = (await history.clientsOf(nginx, 10)).map(({ client, pulls }) => [client, pulls]);
    expect(pulled).toEqual([
      ["10.0.0.1", 5],
      ["10.0.0.2", 1],
    ]);
  }));
