import { afterAll, beforeAll, expect } from "bun:test";
import { OCI_MANIFEST } from "../src/oci/media-types.ts";
import { command } from "./harness/cache/commands.ts";
import { CoolDownWorld, DAY, HOUR, type Seen } from "./harness/cool-down/cool-down-world.ts";
import { type Image, multiPlatformImage } from "./harness/images/images.ts";
import { real, realTest } from "./harness/real-components.ts";
import { until } from "./harness/waiting.ts";

const RULES = [
  { match: "reg.test/exempt/**", minAge: 0 },
  { match: "reg.test/strict/**", minAge: "3d", first: "hold" },
  { match: "reg.test/named/**", minAge: "3d", digests: "hold" },
  { match: "reg.test/hidden/**", minAge: "3d", first: "hold", lists: "hide" },
  { match: "reg.test/listed/**", minAge: "3d", first: "hold", lists: "show" },
  { match: "reg.test/some:1*", minAge: "3d" },
  { match: "reg.test/some", minAge: 0 },
  { match: "reg.test/**", minAge: "3d" },
];

/** All tests share its clock, which goes forward alone; each has repositories of its own. */
let world: CoolDownWorld;

beforeAll(async () => {
  if (real.available) world = await CoolDownWorld.start({ policies: RULES });
}, 240_000);

afterAll(() => world?.[Symbol.asyncDispose]());

function digestOf({ manifest }: Image): string {
  return manifest.digest;
}

/** A tag that has had an image for nine days, and got another one just now, which the cache has seen. */
async function moved(repository: string): Promise<{ before: Image; now: Image }> {
  const before = world.move(repository, "1", `${repository}, the image before`);
  await world.ask(`${repository}/manifests/1`);
  await world.clock.forward(9 * DAY);
  const now = world.move(repository, "1", `${repository}, the image now`);
  await world.ask(`${repository}/manifests/1`);
  return { before, now };
}

async function errorOf(path: string): Promise<{ status: number; code: unknown; message: string }> {
  const response = await world.cache.get(`/v2/${path}?ns=reg.test`);
  const { errors } = (await response.json()) as { errors: { code: string; message: string }[] };
  return { status: response.status, code: errors[0]?.code, message: errors[0]?.message ?? "" };
}

const plain = { status: 200, warning: undefined } satisfies Partial<Seen>;

realTest(
  "a tag that moved is the digest before, and says so, until the new one is old enough",
  async () => {
    const { before, now } = await moved("app");
    await world.clock.forward(4 * HOUR);
    const held = {
      status: 200,
      digest: digestOf(before),
      warning:
        '299 - "held: reg.test/app:1 moved 4 h ago, this is the digest before; entrepot release reg.test/app:1"',
    };
    expect(await world.tag("app", "1")).toEqual({
      ...held,
      cacheStatus: "entrepot; hit; detail=held",
    });
    await world.clock.forward(3 * DAY - 5 * HOUR);
    expect(await world.tag("app", "1")).toMatchObject({
      ...held,
      warning: held.warning.replace("4 h", "2 days"),
    });
    await world.clock.forward(2 * HOUR);
    expect(await world.tag("app", "1")).toMatchObject({ ...plain, digest: digestOf(now) });
  },
);

realTest("of three digests within the time, the one that is old enough stays", async () => {
  const { before } = await moved("often");
  for (const text of ["second", "third", "fourth"]) {
    world.move("often", "1", text);
    await world.clock.forward(HOUR);
    expect((await world.tag("often", "1")).digest).toBe(digestOf(before));
  }
});

realTest(
  "a tag that goes back to its former digest is that at once, and its warning ends",
  async () => {
    const { before } = await moved("back");
    world.upstream.tag("back", "1", digestOf(before));
    await world.clock.forward(HOUR);
    expect(await world.tag("back", "1")).toMatchObject({ ...plain, digest: digestOf(before) });
  },
);

realTest("a new tag is what it was first, with first: allow", async () => {
  const first = world.move("new", "1", "first");
  expect(await world.tag("new", "1")).toMatchObject({ ...plain, digest: digestOf(first) });
  await world.clock.forward(HOUR);
  const second = world.move("new", "1", "second");
  await world.clock.forward(HOUR);
  const { warning, ...seen } = await world.tag("new", "1");
  expect(seen).toMatchObject({ status: 200, digest: digestOf(first) });
  expect(warning).toStartWith(
    '299 - "held: reg.test/new:1 moved just now, this is the digest before;',
  );
  await world.clock.forward(3 * DAY);
  expect(await world.tag("new", "1")).toMatchObject({ ...plain, digest: digestOf(second) });
});

realTest(
  "a new tag is refused with first: hold, until it is old enough, and what is not there stays not found",
  async () => {
    const image = world.move("strict/app", "1", "first");
    expect(await world.tag("strict/app", "1")).toMatchObject({ status: 403, digest: undefined });
    await world.clock.forward(HOUR);
    const { status, code, message } = await errorOf("strict/app/manifests/1");
    expect([status, code]).toEqual([403, "DENIED"]);
    expect(message).toMatch(
      /^reg\.test\/strict\/app:1 was first seen 1 h ago, and is held until \d{4}-\d\d-\d\d \d\d:\d\d UTC; entrepot release reg\.test\/strict\/app:1$/,
    );
    expect(await errorOf("strict/app/manifests/none")).toMatchObject({
      status: 404,
      code: "MANIFEST_UNKNOWN",
    });
    await world.clock.forward(3 * DAY);
    expect(await world.tag("strict/app", "1")).toMatchObject({ ...plain, digest: digestOf(image) });
  },
);

realTest(
  "the first rule that matches decides: minAge 0 exempts repositories, and tags",
  async () => {
    for (const [repository, tag, isHeld] of [
      ["exempt/app", "1", false],
      ["some", "1.2", true],
      ["some", "2", false],
    ] as const) {
      const before = world.move(repository, tag, `${tag} before`);
      await world.ask(`${repository}/manifests/${tag}`);
      await world.clock.forward(9 * DAY);
      const now = world.move(repository, tag, `${tag} now`);
      const { digest } = await world.tag(repository, tag);
      expect([repository, tag, digest]).toEqual([repository, tag, digestOf(isHeld ? before : now)]);
    }
  },
);

realTest(
  "a digest that is asked for by its name passes, or is held with all that it is made of",
  async () => {
    const [passes, held] = [await moved("passing"), await moved("named/app")];
    const partsOf = ({ manifest, blobs }: Image): string[] => [
      `manifests/${manifest.digest}`,
      ...blobs.map(({ digest }) => `blobs/${digest}`),
    ];
    for (const part of partsOf(passes.now)) {
      expect([part, (await world.ask(`passing/${part}`)).status]).toEqual([part, 200]);
    }
    for (const part of partsOf(held.now)) {
      for (const method of ["HEAD", "GET"]) {
        expect([part, await world.ask(`named/app/${part}`, { method })]).toMatchObject([
          part,
          { status: 403, digest: undefined },
        ]);
      }
    }
    for (const part of partsOf(held.before)) {
      expect([part, (await world.ask(`named/app/${part}`)).status]).toEqual([part, 200]);
    }
    await world.clock.forward(3 * DAY);
    for (const part of partsOf(held.now)) {
      expect([part, (await world.ask(`named/app/${part}`)).status]).toEqual([part, 200]);
    }
  },
);

realTest("lists of tags show those that are held as a whole, or hide them", async () => {
  for (const repository of ["listed/app", "hidden/app"]) {
    world.move(repository, "old", `${repository} old`);
    await world.ask(`${repository}/manifests/old`);
  }
  await world.clock.forward(9 * DAY);
  const tagsOf = async (repository: string, query = ""): Promise<unknown> => {
    const response = await world.cache.get(`/v2/${repository}/tags/list?ns=reg.test${query}`);
    return ((await response.json()) as { tags: unknown }).tags;
  };
  for (const repository of ["listed/app", "hidden/app"]) {
    // One moved, of which the digest before is served; one is new and was asked for, and one was not.
    world.move(repository, "old", `${repository} moved`);
    world.move(repository, "new", `${repository} new`);
    world.move(repository, "unseen", `${repository} unseen`);
    await world.ask(`${repository}/manifests/new`);
    await world.ask(`${repository}/manifests/old`);
  }
  const [all, shown] = [["new", "old", "unseen"], ["old"]];
  expect(await tagsOf("listed/app")).toEqual(all);
  expect(await tagsOf("hidden/app")).toEqual(shown);
  expect(await tagsOf("listed/app", "&n=2")).toEqual(["new", "old"]);
  expect(await tagsOf("hidden/app", "&n=2&last=new")).toEqual(["old"]);
  await world.clock.forward(3 * DAY + HOUR);
  expect(await tagsOf("hidden/app")).toEqual(["new", "old"]);
});

realTest(
  "a client that takes no index gets the platform of the image before, and is told",
  async () => {
    const [before, now] = await Promise.all([
      multiPlatformImage({ text: "before" }),
      multiPlatformImage({ text: "now" }),
    ]);
    world.upstream.add("platforms", before, "1");
    await world.ask("platforms/manifests/1");
    await world.clock.forward(9 * DAY);
    world.upstream.add("platforms", now, "1");
    for (const method of ["HEAD", "GET"]) {
      const headers = { accept: OCI_MANIFEST };
      const { warning, ...seen } = await world.ask("platforms/manifests/1", { method, headers });
      expect([method, seen]).toMatchObject([
        method,
        { digest: before.children[0]?.manifest.digest },
      ]);
      expect([method, warning]).toEqual([method, expect.stringContaining("the digest before")]);
    }
  },
);

realTest("a registry that is down changes nothing, and is told as well", async () => {
  const { before } = await moved("down");
  await world.upstream.stop();
  try {
    await world.clock.forward(4 * HOUR);
    const { warning, ...seen } = await world.tag("down", "1");
    expect(seen).toMatchObject({ status: 200, digest: digestOf(before) });
    expect(warning).toStartWith(
      '299 - "held: reg.test/down:1 moved 4 h ago, this is the digest before; entrepot release reg.test/down:1. Response is stale',
    );
    // Also one whose time has come meanwhile, of which only the digest before is here.
    await world.clock.forward(3 * DAY);
    const later = await world.tag("down", "1");
    expect(later).toMatchObject({ status: 200 });
  } finally {
    await world.upstream.start();
  }
});

realTest(
  "a digest before that was evicted is fetched again, and one that is gone for good is not missed in silence",
  async () => {
    const [evicted, gone] = ["evicted", "gone"].map((repository) =>
      world.move(repository, "1", `${repository}, the image before`),
    ) as [Image, Image];
    for (const repository of ["evicted", "gone"]) await world.ask(`${repository}/manifests/1`);
    await world.clock.forward(9 * DAY);
    for (const repository of ["evicted", "gone"]) {
      expect((await command(world.cache, "purge", `reg.test/${repository}:1`)).code).toBe(0);
    }
    world.upstream.remove("gone", digestOf(gone));
    const now = world.move("gone", "1", "now");
    world.move("evicted", "1", "now");
    const { warning, ...seen } = await world.tag("evicted", "1");
    expect(seen).toMatchObject({ status: 200, digest: digestOf(evicted) });
    expect(warning).toContain("this is the digest before");
    await world.tag("gone", "1");
    await world.clock.forward(HOUR);
    const young = await world.tag("gone", "1");
    expect(young).toMatchObject({ status: 200, digest: digestOf(now) });
    expect(young.warning).toMatch(
      /^299 - "held: reg\.test\/gone:1 has no older digest that can still be had: sha256:[0-9a-f]{12}, first seen 1 h ago, is served before its time"$/,
    );
  },
);

realTest("a changed rule holds at once, and after a restart", async () => {
  const { before, now } = await moved("changed");
  const is = (digest: string) => ({
    what: `the tag to be ${digest}`,
    within: 10_000,
    of: async () => (await world.tag("changed", "1")).digest === digest,
  });
  // From here on, its answer is remembered.
  expect((await world.tag("changed", "1")).digest).toBe(digestOf(before));
  await world.govern([{ match: "reg.test/changed", minAge: "1h" }, ...RULES]);
  await world.clock.forward(2 * HOUR);
  for (const { of, ...options } of [is(digestOf(now))]) await until(of, options);
  await world.govern(RULES);
  for (const { of, ...options } of [is(digestOf(before))]) await until(of, options);
  await world.restart();
  expect((await world.tag("changed", "1")).digest).toBe(digestOf(before));
  await world.govern([]);
  for (const { of, ...options } of [is(digestOf(now))]) await until(of, options);
  await world.govern(RULES);
  for (const { of, ...options } of [is(digestOf(before))]) await until(of, options);
});
