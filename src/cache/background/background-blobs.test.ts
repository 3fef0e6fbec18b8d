import { expect, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import { contentOf } from "../../../test/harness/images/content.ts";
import {
  config,
  image,
  layers,
  world,
  type WorldOptions,
} from "../../../test/harness/images/image-pulls.ts";
import { until } from "../../../test/harness/waiting.ts";
import { repository } from "../../upstream/upstreamtest/test-servers.ts";

const [one = image, two = image] = layers;
const never = new AbortController().signal;

type World = Awaited<ReturnType<typeof world>>;

function fetch(
  { cache, upstream, repo }: World,
  { digest, bytes }: Pick<typeof one, "digest" | "bytes">,
  signal: AbortSignal = never,
): Promise<boolean> {
  const size = bytes.byteLength;
  return cache.background.fetch({ upstream, repo, digest, size }, signal);
}

/** A world whose registry keeps one blob back until it is let go. */
async function heldBack(content: typeof one, options: WorldOptions = {}) {
  const { promise: gate, resolve: letGo } = Promise.withResolvers<void>();
  const pulls = await world({
    ...options,
    answer: async ({ path }) => {
      if (path.endsWith(content.digest)) await gate;
      return undefined;
    },
  });
  return Object.assign(pulls, { letGo });
}

test("a blob is downloaded for nobody, and is a hit for the first client", async () => {
  await using pulls = await world();
  expect(await fetch(pulls, one)).toBe(true);
  expect(await fetch(pulls, one)).toBe(false);
  expect(pulls.requests).toBe(1);
  expect(await pulls.get(one)).toBe("hit");
  expect(pulls.requests).toBe(1);
});

test("two callers share one download, and the one that stays gets it", async () => {
  await using pulls = await heldBack(one);
  const abort = new AbortController();
  const both = [fetch(pulls, one, abort.signal), fetch(pulls, one)];
  await until(() => pulls.requestsFor(one) === 1, { what: "the blob is requested" });
  abort.abort(new Error("enough"));
  expect(await both[0]?.catch((error: Error) => error.message)).toBe("enough");
  pulls.letGo();
  expect(await both[1]).toBe(true);
  expect(pulls.requestsFor(one)).toBe(1);
});

test("a cancelled download ends, and a client that asks right then gets the blob", async () => {
  await using pulls = await heldBack(one);
  const abort = new AbortController();
  const fetched = fetch(pulls, one, abort.signal).catch((error: Error) => error.message);
  await until(() => pulls.requestsFor(one) === 1, { what: "the blob is requested" });
  abort.abort(new Error("enough"));
  expect(await fetched).toBe("enough");
  // The fill is about to be suspended, and must not take the client with it.
  const got = pulls.get(one);
  pulls.letGo();
  expect(await got).toBe("miss");
});

test("what a client downloads comes first", async () => {
  await using pulls = await heldBack(one);
  const client = pulls.get(one);
  await until(() => pulls.requestsFor(one) === 1, { what: "the client's blob is requested" });
  const [first, second] = [fetch(pulls, two), fetch(pulls, config)];
  for (let turn = 0; turn < 20; turn += 1) await setImmediate();
  expect(pulls.requests).toBe(1);
  pulls.letGo();
  await client;
  expect(await Promise.all([first, second])).toEqual([true, true]);
});

test("what is being recorded of one download does not keep the next one waiting", async () => {
  const { promise: recording, resolve: record } = Promise.withResolvers<void>();
  await using pulls = await world({ recording });
  expect(await fetch(pulls, one)).toBe(true);
  const next = fetch(pulls, two);
  // Far less than the time between two looks.
  for (let turn = 0; turn < 500 && pulls.requestsFor(two) === 0; turn += 1) await setImmediate();
  expect(pulls.requestsFor(two)).toBe(1);
  record();
  await next;
});

test("a download that waits for its registry gives way, and goes on with what it has", async () => {
  await using pulls = await heldBack(two);
  const fetched = fetch(pulls, two);
  await until(() => pulls.requestsFor(two) === 1, { what: "the blob is requested" });
  expect(await pulls.get(one)).toBe("miss");
  pulls.letGo();
  expect(await fetched).toBe(true);
  expect(await pulls.get(two)).toBe("hit");
});

test("a stored blob of another repository is asked for, and not downloaded again", async () => {
  await using pulls = await world();
  const other = { ...pulls.repo, repository: repository("other") };
  await pulls.cache.blobs.get(pulls.upstream, other, one.digest);
  await pulls.stored(one);
  const { requests } = pulls;
  expect(await fetch(pulls, one)).toBe(false);
  expect(pulls.requests - requests).toBeLessThanOrEqual(1);
  expect(await pulls.get(one)).toBe("hit");
});

test("a blob that the registry lacks is a fault, and nothing goes on", async () => {
  await using pulls = await world();
  const missing = contentOf("missing", "text/plain");
  expect(await fetch(pulls, missing).catch((error: Error) => error.message)).toContain(
    "has no blob",
  );
  expect(pulls.cache.fills.count).toBe(0);
});
