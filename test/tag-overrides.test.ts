import { afterAll, beforeAll, expect, test } from "bun:test";
import { heldSchema, tagHistorySchema } from "../src/api/tag-history.ts";
import { overridesSchema } from "../src/api/overrides.ts";
import { command } from "./harness/cache/commands.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { type Image, textImage } from "./harness/images/images.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";

import { until } from "./harness/waiting.ts";

let upstream: ScriptedUpstream;
let cache: Entrepot;
const [older, newer] = [textImage({ text: "older" }), textImage({ text: "newer" })];

beforeAll(async () => {
  upstream = await startScriptedUpstream();
  cache = await startEntrepot({
    config: {
      storage: { scrub: 0 },
      policies: [
        { match: "reg.test/held/*", minAge: "1d" },
        { match: "reg.test/refused/*", minAge: "1d", first: "hold" },
      ],
      upstreams: {
        "reg.test": { ...localUpstream(upstream.url), tagTtl: "0s", bypass: ["raw/*"] },
      },
    },
  });
});

afterAll(async () => {
  await cache[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
});

async function pull(name: string): Promise<string | null> {
  const response = await cache.get(`/v2/${name.replace(":", "/manifests/")}?ns=reg.test`);
  await response.bytes();
  return response.status === 200 ? response.headers.get("docker-content-digest") : null;
}

/** A tag that had one image, and has another one now, both of them pulled or asked for. */
async function moved(name: string, ...images: readonly Image[]): Promise<void> {
  const [repository = "", tag = ""] = name.split(":");
  for (const image of images.length === 0 ? [older, newer] : images) {
    upstream.add(repository, image, tag);
    await pull(name);
  }
}

async function entrepot(line: string, ...more: readonly string[]) {
  const { stdout, stderr, code: exitCode } = await command(cache, ...line.split(" "), ...more);
  return { exitCode, text: stdout.trim(), error: stderr.trim() };
}

const REASON = ["--reason", "for a test"] as const;

async function historyOf(image: string) {
  const response = await cache.getAdmin(`/api/v1/tag-history?image=${image}`);
  return tagHistorySchema.parse(await response.json());
}

/** Without what differs from run to run. */
function plain(text: string): string {
  return text
    .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d( UTC)?/g, "TIME")
    .replaceAll(/(Times are in|understood as TIME) [\w/]+/g, "$1 ZONE")
    .replaceAll(/by \S+@\S+ \(as claimed\)/g, "by ME")
    .replaceAll(/\S+@\S+ \(as claimed\)/g, "ME")
    .replaceAll(/127\.0\.0\.1:\d+/g, "HOST")
    .replaceAll(/\(in [^)]+\)/g, "(in …)")
    .replaceAll(older.manifest.digest, "OLDER")
    .replaceAll(newer.manifest.digest, "NEWER")
    .replaceAll(older.manifest.digest.slice(0, 19), "OLDER")
    .replaceAll(newer.manifest.digest.slice(0, 19), "NEWER")
    .replaceAll(/ {2,}/g, "  ");
}

test("a tag that is held is shown with why, released, and served at once", async () => {
  await moved("held/app:1");
  expect(await pull("held/app:1")).toBe(older.manifest.digest);
  expect(plain((await entrepot("history reg.test/held/app:1")).text)).toMatchInlineSnapshot(`
    "reg.test/held/app:1
    Served as OLDER, which is not what its registry says.

    DIGEST  FIRST SEEN  LAST SEEN  FIRST SERVED  BY  HERE  NOW
    NEWER  TIME  TIME  -  HOST  yes  registry
    OLDER  TIME  TIME  TIME  HOST  yes  served
    Times are in ZONE.

    reg.test/held/app:1 moved just now, this is the digest before; entrepot release reg.test/held/app:1.
    It ends by itself at TIME (in …)."
  `);
  expect(await historyOf("reg.test/held/app:1")).toMatchObject({
    image: "reg.test/held/app:1",
    digest: newer.manifest.digest,
    served: older.manifest.digest,
    hold: { because: "too-young", digest: newer.manifest.digest },
    stays: [{ digest: newer.manifest.digest }, { digest: older.manifest.digest, isStored: true }],
    overrides: [],
  });
  const held = await (await cache.getAdmin("/api/v1/held")).json();
  expect(held).toMatchObject({
    tags: [{ image: "reg.test/held/app:1", hold: { because: "too-young" } }],
    unverified: [],
  });

  const metrics = await (await cache.getAdmin("/metrics")).text();
  expect(metrics).toMatch(
    /^entrepot_held_responses_total\{upstream="reg.test",answer="other-digest"\} [1-9]/m,
  );
  expect(metrics).toMatch(/^entrepot_held_tags 1$/m);
  expect(cache.logs().filter(({ msg }) => String(msg).startsWith("held:"))).toHaveLength(1);
  expect(plain((await entrepot("history")).text)).toMatchInlineSnapshot(`
    "IMAGE  SERVED  UNTIL  WHY
    reg.test/held/app:1  OLDER  TIME  reg.test/held/app:1 moved just now, this is the digest before; entrepot release reg.test/held/app:1
    Times are in ZONE."
  `);
  expect((await entrepot("status")).text).toContain(
    "Held       1 tag is not served as the registry says",
  );

  const dry = await entrepot("release reg.test/held/app:1 --dry-run", ...REASON);
  expect(plain(dry.text)).toMatchInlineSnapshot(`"Would release reg.test/held/app:1@NEWER."`);
  expect(await pull("held/app:1")).toBe(older.manifest.digest);
  const released = await entrepot("release reg.test/held/app:1 --for 7d", ...REASON);
  expect(plain(released.text)).toMatchInlineSnapshot(`
    "Released reg.test/held/app:1@NEWER, until TIME (in …).
    entrepot overrides shows it."
  `);
  expect(await pull("held/app:1")).toBe(newer.manifest.digest);
  expect(await (await cache.getAdmin("/api/v1/held")).json()).toMatchObject({ tags: [] });

  const again = await entrepot("release reg.test/held/app:1", ...REASON);
  expect([again.exitCode, again.error]).toMatchInlineSnapshot(`
    [
      1,
      "entrepot: nothing is held of reg.test/held/app:1: entrepot history reg.test/held/app:1 shows what it was, and what is served",
    ]
  `);
});

test("a tag is rolled back by the first digits of a digest or a time, and released", async () => {
  await moved("free/app:1");
  expect(await pull("free/app:1")).toBe(newer.manifest.digest);
  const digits = older.manifest.digest.slice(7, 17);
  const rolledBack = await entrepot(`rollback reg.test/free/app:1 --to ${digits}`, ...REASON);
  expect(plain(rolledBack.text)).toMatchInlineSnapshot(`
    "Rolled back reg.test/free/app:1 to OLDER.
    It had it from TIME to TIME.
    entrepot release reg.test/free/app:1 ends it."
  `);
  expect(await pull("free/app:1")).toBe(older.manifest.digest);
  expect((await historyOf("reg.test/free/app:1")).hold?.because).toBe("rolled-back");
  // Whatever the registry says from now on.
  await moved("free/app:1", textImage({ text: "newest" }));
  expect(await pull("free/app:1")).toBe(older.manifest.digest);
  const listed = await entrepot("overrides");
  expect(plain(listed.text)).toContain(
    "rollback  reg.test/free/app:1  OLDER  TIME  no end  ME  for a test",
  );

  const yesterday = await entrepot("rollback reg.test/free/app:1 --to yesterday", ...REASON);
  expect(yesterday.exitCode).toBe(1);
  expect(plain(yesterday.error)).toMatchInlineSnapshot(
    `"entrepot: nothing is known of reg.test/free/app:1 at TIME: it was first seen at TIME: name a later moment, or a digest"`,
  );

  const released = await entrepot("release reg.test/free/app:1", ...REASON);
  expect(plain(released.text)).toMatchInlineSnapshot(
    `"Ended the rollback of reg.test/free/app:1 by ME."`,
  );
  expect(await pull("free/app:1")).toBe(textImage({ text: "newest" }).manifest.digest);
  const ended = await entrepot("overrides --all");
  expect(plain(ended.text)).toContain("ended TIME by ME");
});

test("a digest that is held is given to nobody, by whatever name", async () => {
  await moved("evil/app:1");
  const digest = newer.manifest.digest;
  const held = await entrepot(`hold reg.test/evil/app@${digest}`, ...REASON);
  expect(plain(held.text)).toMatchInlineSnapshot(`
    "Held back reg.test/evil/app@NEWER.
    It is given to nobody, by whatever tag or name.
    entrepot release reg.test/evil/app@NEWER ends it."
  `);
  expect(await pull("evil/app:1")).toBe(older.manifest.digest);
  const byName = await cache.get(`/v2/evil/app/manifests/${digest}?ns=reg.test`);
  expect([byName.status, await byName.text()]).toEqual([403, expect.stringContaining("DENIED")]);
  expect((await entrepot("release reg.test/evil/app:1", ...REASON)).exitCode).toBe(0);
  expect(await pull("evil/app:1")).toBe(digest);
});

test("frozen tags are what they were, until they are unfrozen", async () => {
  await moved("calm/app:1", older);
  const frozen = await entrepot("freeze reg.test/calm/* --as-of now --for 1h", ...REASON);
  expect(plain(frozen.text)).toMatchInlineSnapshot(`
    "Froze reg.test/calm/*:* as of TIME, until TIME (in …).
    A tag that was not known then has the earliest digest that is known of it.
    entrepot unfreeze 'reg.test/calm/*:*' ends it."
  `);
  await moved("calm/app:1", newer);
  expect(await pull("calm/app:1")).toBe(older.manifest.digest);
  const refused = await entrepot("release reg.test/calm/app:1", ...REASON);
  expect(plain(refused.error)).toMatchInlineSnapshot(
    `"entrepot: reg.test/calm/app:1 is frozen by ME (for a test): entrepot unfreeze 'reg.test/calm/*:*' ends that, or entrepot rollback reg.test/calm/app:1 --to DIGEST gives this tag another digest"`,
  );
  const other = await entrepot("unfreeze reg.test/other/*");
  expect([other.exitCode, other.error]).toEqual([
    1,
    "entrepot: nothing is frozen by the pattern 'reg.test/other/*:*': name one of 'reg.test/calm/*:*'",
  ]);
  expect(plain((await entrepot("unfreeze reg.test/calm/*")).text)).toMatchInlineSnapshot(
    `"Ended the freeze of reg.test/calm/*:* by ME."`,
  );
  expect(await pull("calm/app:1")).toBe(newer.manifest.digest);
  expect((await entrepot("unfreeze")).error).toBe(
    "entrepot: nothing is frozen: entrepot overrides lists what was decided of tags",
  );
});

test("a tag that is refused says how to release it, and is served then", async () => {
  upstream.add("refused/app", older, "1");
  expect(await pull("refused/app:1")).toBeNull();
  expect((await historyOf("reg.test/refused/app:1")).served).toBeUndefined();
  const stay = await entrepot("hold reg.test/refused/app:1", ...REASON);
  expect([stay.exitCode, plain(stay.error)]).toMatchInlineSnapshot(`
    [
      1,
      "entrepot: reg.test/refused/app:1 is not served now, so it cannot stay so: entrepot release reg.test/refused/app:1 serves it, and entrepot rollback reg.test/refused/app:1 --to DIGEST gives it another digest",
    ]
  `);
  expect((await entrepot("release reg.test/refused/app:1", ...REASON)).exitCode).toBe(0);
  expect(await pull("refused/app:1")).toBe(older.manifest.digest);
});

test("what cannot be meant ends with what to write, and exit code 2 where the line is wrong", async () => {
  const lines = [
    ["release reg.test/held/app:1"],
    ["history reg.test/none:1"],
    ["history ::"],
    ["rollback reg.test/free/app:1 --to soon", ...REASON],
    ["freeze --as-of 2999-01-01", ...REASON],
    ["hold reg.test/free/app:1 --until 7d --for 7d", ...REASON],
    ["hold reg.test/free/app:1 --for soon", ...REASON],
    ["hold reg.test/none:1", ...REASON],
  ] as const;
  const found: unknown[] = [];
  for (const [line, ...more] of lines) {
    const { exitCode, error } = await entrepot(line, ...more);
    found.push([line, exitCode, plain(error)]);
  }
  expect(found).toMatchInlineSnapshot(`
    [
      [
        "release reg.test/held/app:1",
        2,
        
    "error: required option '--reason <text>' not specified
    --reason <text>: why: it is kept, and shown to others
    Usage: entrepot release [options] <image>
    See:  entrepot release --help"
    ,
      ],
      [
        "history reg.test/none:1",
        1,
        "entrepot: nothing is known of reg.test/none:1: pull it through this cache once, or see whether the name is right (entrepot ls)",
      ],
      [
        "history ::",
        2,
        "entrepot: "::" is not the name of an image: write it as docker.io/library/nginx:1.27",
      ],
      [
        "rollback reg.test/free/app:1 --to soon",
        2,
        
    "error: --to "soon" is not valid: write a digest, 2026-11-20, 2026-11-20T14:30, yesterday, now, or 3d for three days ago
    Usage: entrepot rollback [options] <image>
    See:  entrepot rollback --help"
    ,
      ],
      [
        "freeze --as-of 2999-01-01",
        2,
        "entrepot: TIME is in the future: name a moment that is over",
      ],
      [
        "hold reg.test/free/app:1 --until 7d --for 7d",
        2,
        
    "error: --until and --for both say when it ends: leave one of them out
    Usage: entrepot hold [options] <image>
    See:  entrepot hold --help"
    ,
      ],
      [
        "hold reg.test/free/app:1 --for soon",
        2,
        
    "error: --for "soon" is not valid: write 7d for seven days, 2026-12-24, or 2026-12-24T18:00
    Usage: entrepot hold [options] <image>
    See:  entrepot hold --help"
    ,
      ],
      [
        "hold reg.test/none:1",
        1,
        "entrepot: nothing is known of reg.test/none:1: pull it through this cache once, or see whether the name is right (entrepot ls)",
      ],
    ]
  `);
});

test("a digest that is held by its name is given to nobody, also where the cache is bypassed", async () => {
  for (const repository of ["free/named", "raw/named"]) {
    await moved(`${repository}:1`);
    const { digest } = newer.manifest;
    const paths = [`manifests/${digest}`, `referrers/${digest}`];
    const statuses = async (): Promise<number[]> => {
      const asked = paths.flatMap((path) =>
        ["GET", "HEAD"].map((method) =>
          cache.get(`/v2/${repository}/${path}?ns=reg.test`, { method }),
        ),
      );
      return (await Promise.all(asked)).map(({ status }) => status);
    };
    const before = await statuses();
    expect(before[0]).toBe(200);
    expect((await entrepot(`hold reg.test/${repository}@${digest}`, ...REASON)).exitCode).toBe(0);
    expect(await statuses()).toEqual([403, 403, 403, 403]);
    // Where the cache is bypassed, it has not noted what the tag was before anything was decided about it.
    const isBypassed = repository.startsWith("raw/");
    expect(await pull(`${repository}:1`)).toBe(isBypassed ? null : older.manifest.digest);
    const release = await entrepot(`release reg.test/${repository}@${digest}`, ...REASON);
    expect(release.exitCode).toBe(0);
    expect(await statuses()).toEqual(before);
    expect(await pull(`${repository}:1`)).toBe(digest);
  }
});

test("what was decided, and what is held, is there after a restart", async () => {
  const before = overridesSchema.parse(await (await cache.getAdmin("/api/v1/overrides")).json());
  expect(before.items.length).toBeGreaterThan(4);
  await moved("held/two:1", older, newer, newer);
  const config = cache.configFile;
  await cache.stop();
  await using next = await startEntrepot({ data: cache.data, args: ["--config", config] });
  const after = overridesSchema.parse(await (await next.getAdmin("/api/v1/overrides")).json());
  expect(after.items).toEqual(before.items);
  const isHeld = async (): Promise<boolean> => {
    const held = heldSchema.parse(await (await next.getAdmin("/api/v1/held")).json());
    return held.tags.some(({ image }) => image === "reg.test/held/two:1");
  };
  await until(isHeld, { what: "a tag that nobody has asked for since the start" });
  expect(next.logs().filter(({ msg }) => String(msg).startsWith("held:"))).toEqual([]);
});
