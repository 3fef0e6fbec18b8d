import { afterAll, beforeAll, expect, test } from "bun:test";
import { rename, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { jobsSchema } from "../src/api/jobs.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { layersImage } from "./harness/images/images.ts";
import { type ChildProcess, startProcess } from "./harness/processes.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { type TempDir, tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));
const [ONE, TWO] = ["the-first-admin-token", "the-second-admin-token"];

const closing = new AsyncDisposableStack();
let dir: TempDir;
let cache: Entrepot;

/** Replaces the file of the token as a rotation does, and waits until the cache has taken it up. */
async function rotate(token: string): Promise<void> {
  await writeFile(dir.file("token.new"), token);
  await rename(dir.file("token.new"), dir.file("token"));
  cache.signal("SIGHUP");
  await until(async () => (await status("/jobs", token)) === 200, { what: "the new token" });
}

async function status(path: string, token: string): Promise<number> {
  const headers = { authorization: `Bearer ${token}` };
  return (await fetch(`http://${cache.adminAddress}/api/v1${path}`, { headers })).status;
}

/** The state of the only job that was started and not looked at before. */
async function states(token: string): Promise<readonly string[]> {
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(`http://${cache.adminAddress}/api/v1/jobs`, { headers });
  return jobsSchema.parse(await response.json()).items.map(({ state }) => state);
}

/** Verifies what is stored, a thousand bytes in a second: it ends as it is cancelled. */
async function follow(env: Readonly<Record<string, string>> = {}): Promise<ChildProcess> {
  const token = env["ENTREPOT_ADMIN_TOKEN"] ?? ONE;
  const before = (await states(token)).length;
  const flags = ["--config", cache.configFile, "--admin", cache.adminAddress];
  return startProcess({
    name: "entrepot fsck",
    command: [PROGRAM, "fsck", "--rate", "1KiB", ...flags],
    env,
    ready: async () => (await states(token)).length > before,
  });
}

beforeAll(async () => {
  dir = closing.use(await tempDir("followed-jobs"));
  await writeFile(dir.file("token"), ONE);
  const upstream = closing.use(await startScriptedUpstream());
  const content = crypto.getRandomValues(new Uint8Array(60_000));
  const image = layersImage([[{ path: "file", content }]]);
  upstream.add("app", image, "1");
  cache = closing.use(
    await startEntrepot({
      config: {
        adminTokenFile: dir.file("token"),
        upstreams: { "reg.test": localUpstream(upstream.url) },
      },
    }),
  );
  const places = ["manifests/1", ...image.blobs.map(({ digest }) => `blobs/${digest}`)];
  for (const place of places) {
    const response = await fetch(`${cache.url}/v2/app/${place}?ns=reg.test`);
    expect(response.status).toBe(200);
    await response.bytes();
  }
});
afterAll(() => closing.disposeAsync());

test("Ctrl-C of a command that follows a job ends with 130, and says what becomes of the job", async () => {
  await using command = await follow();
  command.signal("SIGINT");
  expect(await command.ended()).toBe(130);
  expect(command.output()).toContain("entrepot: cancelling the job ");
  expect(command.output()).toContain(
    "entrepot: interrupted: the job was cancelled, and what was done by then stays done",
  );
  expect((await states(ONE))[0]).toBe("cancelled");
  await using ended = await follow();
  ended.signal("SIGTERM");
  expect(await ended.ended()).toBe(143);
});

test("a command goes on with a token that replaces its own, or says that it is no longer accepted", async () => {
  await using reading = await follow();
  await using given = await follow({ ENTREPOT_ADMIN_TOKEN: ONE });
  await rotate(TWO);
  expect(await given.ended()).toBe(1);
  expect(given.output()).toMatch(
    /entrepot: the token is no longer accepted: the job \S+ goes on\. Set ENTREPOT_ADMIN_TOKEN/,
  );
  expect(reading.exitCode).toBeUndefined();
  expect((await states(TWO)).slice(0, 2)).toEqual(["running", "running"]);
  reading.signal("SIGINT");
  expect(await reading.ended()).toBe(130);
  expect(reading.output()).toContain("the job was cancelled");
});
