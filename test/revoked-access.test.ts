import { describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import { textImage } from "./harness/images/images.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

const image = textImage({ text: "shown for as long as its registry agrees" });
const layer = `blobs/${image.blobs[1]?.digest}`;
const manifest = `manifests/${image.manifest.digest}`;
const TAG = "manifests/1";
const EVERYTHING = [TAG, manifest, layer, "tags/list"];

/** A registry whose repository `app` was pulled, and a cache that can be restarted. */
async function setUp(policy: object, env: Readonly<Record<string, string>> = {}) {
  const upstream = await startScriptedUpstream();
  const dir = await tempDir("revoked");
  for (const repository of ["app", "other"]) upstream.add(repository, image, "1", "v1.0.0");
  const configOf = (changed: object) => ({
    storage: { scrub: 0 },
    upstreams: { "reg.test": { ...localUpstream(upstream.url), ...changed } },
  });
  const start = () => startEntrepot({ config: configOf(policy), data: dir.file("d"), env });
  let cache = await start();
  const status = async (path: string, repository = "app", method = "GET"): Promise<number> => {
    const response = await cache.get(`/v2/${repository}/${path}?ns=reg.test`, { method });
    await response.bytes();
    return response.status;
  };
  const statuses = async (paths: readonly string[] = EVERYTHING): Promise<number[]> => {
    const all: number[] = [];
    for (const path of paths) all.push(await status(path));
    return all;
  };
  expect(await statuses()).toEqual([200, 200, 200, 200]);
  return {
    upstream,
    status,
    statuses,
    becomes: (path: string, expected: number) =>
      until(async () => (await status(path)) === expected, { what: `${path} to be ${expected}` }),
    reconfigure: (changed: object) => cache.reconfigure(configOf(changed)),
    async restart(signal?: NodeJS.Signals) {
      await cache.stop(signal);
      await cache[Symbol.asyncDispose]();
      cache = await start();
    },
    async [Symbol.asyncDispose]() {
      await cache[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
      await dir[Symbol.asyncDispose]();
    },
  };
}

const AT_ONCE = { tagTtl: 0, revokedAfter: 0 };

describe.each([401, 403])("a registry that refuses with %i", (code) => {
  test.concurrent(
    "is believed after revokedAfter, for tags and for what hangs on them",
    async () => {
      await using at = await setUp({ tagTtl: 0, revokedAfter: "3s" });
      at.upstream.respond(() => faults.errorResponse(code));
      expect(await at.statuses()).toEqual([200, 200, 200, 200]);
      await at.becomes(TAG, 403);
      await at.becomes(layer, 403);
      expect(await at.statuses()).toEqual([403, 403, 403, 403]);
      expect(await at.status(layer, "app", "HEAD")).toBe(403);
      expect(await at.status(manifest, "app", "HEAD")).toBe(403);
      at.upstream.respond();
      expect(await at.statuses()).toEqual([200, 200, 200, 200]);
    },
  );
});

test.concurrent.each([layer, manifest, "manifests/v1.0.0"])(
  "access ends as well where nobody asks for a tag that could move: %s",
  async (path) => {
    await using at = await setUp({ tagTtl: 0, revokedAfter: "1s", immutableTags: ["v*"] });
    expect(await at.status("manifests/v1.0.0")).toBe(200);
    at.upstream.respond(() => faults.errorResponse(403));
    await at.becomes(path, 403);
    at.upstream.respond();
    expect(await at.status(path)).toBe(200);
  },
);

test.concurrent("within revokedAfter, content is served by digest without asking", async () => {
  await using at = await setUp({ tagTtl: 0 });
  at.upstream.forget();
  for (let turn = 0; turn < 3; turn += 1) {
    expect(await at.statuses([manifest, layer])).toEqual([200, 200]);
  }
  await at.restart();
  expect(await at.statuses([manifest, layer])).toEqual([200, 200]);
  expect(at.upstream.requests()).toEqual([]);
});

test.concurrent(
  "a refusal is remembered over restarts, and while the registry is down",
  async () => {
    await using at = await setUp(AT_ONCE);
    at.upstream.respond(() => faults.errorResponse(403));
    expect(await at.status(TAG)).toBe(403);
    await at.upstream.stop();
    expect(await at.statuses()).toEqual([502, 502, 502, 502]);
    await at.restart("SIGKILL");
    expect(await at.statuses()).toEqual([502, 502, 502, 502]);
    at.upstream.respond();
    await at.upstream.start();
    await at.becomes(TAG, 200);
    // One good answer is enough for everything that is stored.
    await at.upstream.stop();
    expect(await at.statuses()).toEqual([200, 200, 200, 200]);
    await at.restart();
    expect(await at.statuses()).toEqual([200, 200, 200, 200]);
  },
);

test.concurrent("a refused repository says nothing of others", async () => {
  await using at = await setUp(AT_ONCE);
  at.upstream.respond(({ repository }) =>
    repository === "app" ? faults.errorResponse(403) : undefined,
  );
  expect(await at.status(TAG)).toBe(403);
  for (const path of [TAG, manifest, layer]) expect(await at.status(path, "other")).toBe(200);
  expect(await at.statuses()).toEqual([403, 403, 403, 403]);
});

test.concurrent(
  "a tag that is blocked alone ends, and nothing else of its repository",
  async () => {
    await using at = await setUp({ tagTtl: 0, revokedAfter: "2s" });
    expect(await at.status("manifests/v1.0.0")).toBe(200);
    at.upstream.respond(({ reference }) =>
      reference === "v1.0.0" ? faults.errorResponse(403) : undefined,
    );
    await until(
      async () => {
        expect(await at.status(TAG)).toBe(200);
        return (await at.status("manifests/v1.0.0")) === 403;
      },
      { what: "the blocked tag to end" },
    );
    await at.upstream.stop();
    expect(await at.statuses()).toEqual([200, 200, 200, 200]);
  },
);

test.concurrent.each([
  ["500", () => faults.errorResponse(500)],
  ["a reset", () => ({ hangUp: "reset" }) as const],
  ["429", () => faults.tooManyRequests("60")],
  ["no answer", () => faults.neverResponds],
] as const)("an outage is no refusal: %s", async (_, fault) => {
  await using at = await setUp(AT_ONCE);
  at.upstream.respond(fault);
  for (let turn = 0; turn < 2; turn += 1) {
    expect(await at.statuses([TAG, manifest, layer])).toEqual([200, 200, 200]);
  }
});

test.concurrent(
  "a token endpoint that fails is an outage, and one that refuses is not",
  async () => {
    await using at = await setUp(AT_ONCE);
    let token = 503;
    at.upstream.respond(({ kind }) =>
      kind === "other"
        ? faults.errorResponse(token)
        : faults.unauthorized(`Bearer realm="${at.upstream.url}/token",service="test"`),
    );
    expect(await at.statuses()).toEqual([200, 200, 200, 200]);
    token = 403;
    expect(await at.status(TAG)).toBe(403);
    expect(await at.status(layer)).toBe(403);
  },
);

test.concurrent("a credential helper that fails is an outage", async () => {
  await using dir = await tempDir("helper");
  const dockerConfig = dir.file("config.json");
  await writeFile(dockerConfig, JSON.stringify({ credHelpers: { "reg.test": "fails" } }));
  const helper = dir.file("docker-credential-fails");
  await writeFile(helper, "#!/bin/sh\nexit 1\n", { mode: 0o755 });
  const env = { PATH: `${dir.path}:${process.env["PATH"]}` };
  await using at = await setUp({ ...AT_ONCE, auth: { dockerConfig } }, env);
  at.upstream.respond(() => faults.unauthorized('Basic realm="test"'));
  expect(await at.statuses()).toEqual([200, 200, 200, 200]);
});

test.concurrent("a refusal that arrives after the client's patience ends is believed", async () => {
  await using at = await setUp(AT_ONCE);
  const slow = Promise.withResolvers<void>();
  at.upstream.respond(() => ({ ...faults.errorResponse(403), hold: slow.promise }));
  expect(await at.status(TAG)).toBe(200);
  slow.resolve();
  await at.becomes(TAG, 403);
  expect(await at.status(layer)).toBe(403);
});

test.concurrent("revokedAfter is taken up without a restart", async () => {
  await using at = await setUp({ tagTtl: 0 });
  at.upstream.respond(() => faults.errorResponse(403));
  expect(await at.statuses()).toEqual([200, 200, 200, 200]);
  await at.reconfigure(AT_ONCE);
  await at.becomes(TAG, 403);
  expect(await at.statuses()).toEqual([403, 403, 403, 403]);
});
