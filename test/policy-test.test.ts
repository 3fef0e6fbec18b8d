import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { command } from "./harness/cache/commands.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { textImage } from "./harness/images/images.ts";
import { run } from "./harness/processes.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { tempDir } from "./harness/temp-dir.ts";

const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));
const [older, newer] = [textImage({ text: "older" }), textImage({ text: "newer" })];

async function pull(cache: Entrepot, name: string): Promise<number> {
  const response = await cache.get(`/v2/${name}/manifests/1?ns=reg.test`);
  await response.bytes();
  return response.status;
}

function plain(text: string): string {
  return text
    .trim()
    .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d( UTC)?/g, "TIME")
    .replaceAll(older.manifest.digest.slice(0, 19), "OLDER")
    .replaceAll(newer.manifest.digest.slice(0, 19), "NEWER")
    .replaceAll(/ {2,}/g, "  ");
}

test("changed rules are tried on what was pulled, with what was known then, and nothing is changed", async () => {
  await using upstream = await startScriptedUpstream();
  await using dir = await tempDir("policy-test");
  const upstreams = { "reg.test": { ...localUpstream(upstream.url), tagTtl: "0s" } };
  await using cache = await startEntrepot({
    config: {
      storage: { scrub: 0 },
      policies: [{ match: "reg.test/strict", minAge: "1d", first: "hold" }],
      upstreams,
    },
  });
  for (const image of [older, newer]) {
    for (const name of ["moving", "free", "frozen", "signed"]) {
      upstream.add(name, image, "1");
      for (let turn = 0; turn < 2; turn += 1) await pull(cache, name);
    }
  }
  const order = ["rollback", "reg.test/frozen:1", "--to", older.manifest.digest];
  await command(cache, ...order, "--reason", "for a test");
  await pull(cache, "frozen");
  upstream.add("strict", older, "1");
  expect(await pull(cache, "strict")).toBe(403);

  const tryRules = async (policies: readonly object[], ...more: readonly string[]) => {
    const config = dir.file("changed.yaml");
    await writeFile(config, stringify({ policies, upstreams }));
    const flags = ["--config", config, "--admin", cache.adminAddress, "--since", "1h", ...more];
    return run([PROGRAM, "policy", "test", ...flags]);
  };
  const stricter = await tryRules([
    { match: "reg.test/free", minAge: 0 },
    {
      match: "reg.test/signed",
      verify: {
        mode: "enforce",
        keyless: [{ issuer: "https://a.test", subject: "https://a.test/*" }],
      },
    },
    { match: "reg.test/strict", minAge: "1d" },
    { match: "reg.test/**", minAge: "1d" },
  ]);
  expect(stricter.stderr).toBe("");
  expect(plain(stricter.stdout)).toMatchInlineSnapshot(`
    "The log of pulls does not reach back to TIME: it begins at TIME.
    IMAGE  PULLS  LAST  WAS SERVED  WOULD BE  WHY
    reg.test/frozen:1  1  TIME  NEWER  OLDER  reg.test/frozen:1 moved just now, this is the digest before
    reg.test/moving:1  1  TIME  NEWER  OLDER  reg.test/moving:1 moved just now, this is the digest before
    reg.test/signed:1  1  TIME  OLDER  not known  its signatures were not verified yet by this rule: --verify does that now
    reg.test/signed:1  1  TIME  NEWER  not known  its signatures were not verified yet by this rule: --verify does that now
    reg.test/strict:1  1  TIME  refused  OLDER  as its registry says
    By 4 rules, of 10 pulls of 5 tags since TIME: 5 as they were, 3 with another digest, 0 refused, 2 not known."
  `);
  expect(stricter.code).toBe(0);

  const refusing = await tryRules(
    [{ match: "reg.test/**", minAge: "1d", first: "hold" }],
    "--json",
  );
  expect(refusing.code).toBe(1);
  const { items, pulls, images, same } = JSON.parse(refusing.stdout);
  // What was pulled in the same hour is looked at as of its last time: after the rollback.
  expect([pulls, images, same]).toEqual([10, 5, 3]);
  expect(items).toContainEqual(
    expect.objectContaining({
      image: "reg.test/moving:1",
      served: newer.manifest.digest,
      outcome: "refused",
    }),
  );

  for (const [since, problem] of [
    ["someday", 'error: --since "someday" is not valid: write '],
    ["2999-01-01", 'error: --since "2999-01-01" is in the future: '],
  ] as const) {
    const wrong = await command(cache, "policy", "test", "--since", since);
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining(problem)]);
  }

  // By the rules that hold, everything would be as it was.
  const unchanged = await command(cache, "policy", "test", "--since", "30d");
  expect([unchanged.code, plain(unchanged.stdout)]).toMatchInlineSnapshot(`
    [
      0,
      
    "The log of pulls does not reach back to TIME: it begins at TIME.
    By 1 rule, of 10 pulls of 5 tags since TIME: 10 as they were, 0 with another digest, 0 refused."
    ,
    ]
  `);
  expect(await pull(cache, "moving")).toBe(200);
});
