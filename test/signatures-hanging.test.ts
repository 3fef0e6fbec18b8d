import { afterAll, beforeAll, expect, test } from "bun:test";
import { command } from "./harness/cache/commands.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { pull } from "./harness/cache/pull.ts";
import { neverResponds } from "./harness/faults/faults.ts";
import { type Image, layersImage } from "./harness/images/images.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { newKeys } from "./harness/signatures/certificate-maker.ts";
import { publicPem } from "./harness/signatures/rules.ts";
import { until } from "./harness/waiting.ts";

/** How long a pull waits for signatures, in milliseconds. */
const PATIENCE_MS = 10_000;
const NAMES = ["observed", "enforced", "listed", "blobs"] as const;
type Name = (typeof NAMES)[number];

/** Three images with one layer in common, in the order in which the tag `1` of each repository had them. */
const IMAGES: readonly Image[] = ["first", "second", "third"].map((text) => {
  const own = { path: text, content: new TextEncoder().encode(text) };
  const shared = { path: "shared", content: new TextEncoder().encode("of all three") };
  return layersImage([[shared], [own]]);
});
const [FIRST] = IMAGES;

/** Its registry never says which signatures there are. */
let upstream: ScriptedUpstream;
let cache: Entrepot;

beforeAll(async () => {
  upstream = await startScriptedUpstream();
  const keys = [publicPem(newKeys().publicKey)];
  const enforce = { mode: "enforce", keys, transparencyLog: false };
  const configOf = (policies: readonly object[]): object => ({
    upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: "0s" } },
    policies,
  });
  cache = await startEntrepot({ config: configOf([]) });
  for (const name of NAMES) {
    for (const image of IMAGES) {
      upstream.add(name, image, "1");
      await pull(cache, name, "1", image);
    }
  }
  for (const name of ["enforced", "blobs"]) {
    const image = `reg.test/${name}@${FIRST?.manifest.digest}`;
    const released = await command(cache, "release", image, "--unverified", "--reason", "known");
    expect(released).toMatchObject({ code: 0 });
  }
  upstream.respond(({ kind, reference }) =>
    kind === "referrers" || reference.startsWith("sha256-") ? neverResponds : undefined,
  );
  await cache.reconfigure(
    configOf([
      { match: "reg.test/observed", minAge: "3d", verify: { ...enforce, mode: "observe" } },
      { match: "reg.test/listed", minAge: "3d", first: "hold", lists: "hide", verify: enforce },
      { match: "reg.test/**", verify: enforce },
    ]),
  );
  expect(await command(cache, "reload")).toMatchObject({ code: 0 });
}, 120_000);

afterAll(async () => {
  await cache?.[Symbol.asyncDispose]();
  await upstream?.[Symbol.asyncDispose]();
});

async function ask(path: string): Promise<{ status: number; digest: string | null; ms: number }> {
  const from = performance.now();
  const response = await cache.get(`/v2/${path}?ns=reg.test`);
  await response.bytes();
  const digest = response.headers.get("docker-content-digest");
  return { status: response.status, digest, ms: performance.now() - from };
}

const tag = (name: Name): ReturnType<typeof ask> => ask(`${name}/manifests/1`);

test("where signatures are only observed, nobody waits for them to learn how old a digest is", async () => {
  const { ms, ...got } = await tag("observed");
  expect(got).toEqual({ status: 200, digest: FIRST?.manifest.digest ?? "" });
  expect(ms).toBeLessThan(PATIENCE_MS);
});

test("of several that cannot be verified now, only the first is waited for, and that once", async () => {
  const passes = { status: 200, digest: FIRST?.manifest.digest ?? "" };
  expect(await tag("enforced")).toMatchObject(passes);
  const { ms, ...got } = await tag("enforced");
  expect(got).toEqual(passes);
  expect(ms).toBeLessThan(PATIENCE_MS / 2);
}, 60_000);

test("lists of tags, and what is told of a tag, ask for no signatures", async () => {
  const { ms, status } = await ask("listed/tags/list");
  expect(status).toBe(200);
  const from = performance.now();
  const told = await cache.getAdmin("/api/v1/tag-history?image=reg.test/listed:1");
  expect(told.status).toBe(200);
  expect(ms + performance.now() - from).toBeLessThan(PATIENCE_MS / 2);
  expect(upstream.requests({ kind: "referrers", repository: "listed" })).toEqual([]);
});

test("a layer of an image that passes is given, whichever others it belongs to", async () => {
  const shared = FIRST?.blobs[1];
  expect(await ask(`blobs/blobs/${shared?.digest}`)).toMatchObject({ status: 200 });
}, 60_000);

test("once its registry answers, what could not be verified is judged again", async () => {
  const [, , third] = IMAGES;
  upstream.respond();
  upstream.release();
  const isJudged = async (): Promise<boolean> =>
    (await ask(`enforced/manifests/${third?.manifest.digest}`)).status === 403;
  await until(isJudged, { what: "the third image to be refused", within: 40_000 });
}, 60_000);
