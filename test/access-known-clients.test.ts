import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { textImage } from "./harness/images/images.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { type TempDir, tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

const image = textImage({ text: "for clients that the cache knows" });

let dir: TempDir;
let upstream: ScriptedUpstream;
let cache: Entrepot;

const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;

function configOf(rules: readonly object[]): object {
  return {
    storage: { scrub: 0 },
    clients: { htpasswdFile: dir.file("htpasswd"), tokensFile: dir.file("tokens"), rules },
    upstreams: { "reg.test": { ...localUpstream(upstream.url), access: "clients" } },
  };
}

const RULES = [
  { principals: ["user:ann", "token:ci"], repositories: ["reg.test/team/**"], effect: "allow" },
  { principals: ["token:ci"], repositories: ["reg.test/team/secret"], effect: "deny" },
];

beforeAll(async () => {
  dir = await tempDir("clients");
  const hash = await Bun.password.hash("ann-password", { algorithm: "bcrypt", cost: 4 });
  await writeFile(dir.file("htpasswd"), `ann:${hash}\nbob:${hash}\n`);
  await writeFile(dir.file("tokens"), "ci 0123456789abcdef0123\n");
  upstream = await startScriptedUpstream();
  for (const name of ["team/app", "team/secret"]) upstream.add(name, image, "1");
  cache = await startEntrepot({ config: configOf(RULES) });
});

afterAll(async () => {
  await cache[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
  await dir[Symbol.asyncDispose]();
});

async function status(path: string, authorization?: string): Promise<number> {
  const headers = new Headers(authorization === undefined ? {} : { authorization });
  const response = await cache.get(path, { headers });
  await response.bytes();
  return response.status;
}

const pull = (name: string, authorization?: string): Promise<number> =>
  status(`/v2/${name}/manifests/1?ns=reg.test`, authorization);

test("clients that are known pull what the rules let them, and others nothing", async () => {
  const [ann, bob] = [basic("ann", "ann-password"), basic("bob", "ann-password")];
  const ci = basic("anything", "0123456789abcdef0123");
  const asked: [name: string, authorization: string | undefined, expected: number][] = [
    ["team/app", ann, 200],
    ["team/secret", ann, 200],
    ["team/app", ci, 200],
    ["team/app", "Bearer 0123456789abcdef0123", 200],
    ["team/secret", ci, 403],
    ["team/app", bob, 403],
    ["team/none", bob, 403],
    ["team/app", undefined, 401],
    ["team/app", basic("ann", "guess"), 401],
    ["team/app", "Bearer guess", 401],
    ["team/none", basic("ann", "guess"), 401],
  ];
  for (const [name, authorization, expected] of [...asked, ...asked]) {
    expect([name, authorization, await pull(name, authorization)]).toEqual([
      name,
      authorization,
      expected,
    ]);
  }
});

test("a login at /v2/ is verified there", async () => {
  expect(await status("/v2/")).toBe(401);
  expect(await status("/v2/", basic("ann", "ann-password"))).toBe(200);
  expect(await status("/v2/", basic("ann", "guess"))).toBe(401);
});

test("a password in the log would be a secret told", async () => {
  await pull("team/app", basic("ann", "guess-that-fails"));
  const refused = cache.logs().filter((line) => line["msg"] === "a client was not let in");
  expect(refused.at(-1)).toMatchObject({ kind: "password", client: expect.stringMatching(/./) });
  expect(JSON.stringify(cache.logs())).not.toContain("guess-that-fails");
});

test("changed rules and files hold, also for what was served a moment ago", async () => {
  const ann = basic("ann", "ann-password");
  const becomes = (expected: number): Promise<unknown> =>
    until(async () => (await pull("team/app", ann)) === expected, { what: `ann gets ${expected}` });
  expect(await pull("team/app", ann)).toBe(200);
  await cache.reconfigure(configOf([{ ...RULES[0], effect: "deny" }]));
  await becomes(403);
  await cache.reconfigure(configOf(RULES));
  await becomes(200);
  await writeFile(
    dir.file("htpasswd"),
    "bob:$2y$05$q7NcDMbJBxVPNsMtOCLBYeXmVgHqqAVR2oFEh1mRXcVPNsMtOCLBy\n",
  );
  await becomes(401);
});
