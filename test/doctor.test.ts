import { expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import { chmod, writeFile } from "node:fs/promises";
import { stringify } from "yaml";
import { table } from "../src/commands/setup/doctor.ts";
import { makeCertificate } from "./harness/services/certificates.ts";
import { startDockerRegistry } from "./harness/registries/docker-registry.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { textImage } from "./harness/images/images.ts";
import { freePort } from "./harness/free-port.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { run } from "./harness/processes.ts";
import { startPrivateRegistry } from "./harness/registries/private-registry.ts";
import { push } from "./harness/registries/push.ts";
import { realTest } from "./harness/real-components.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { startTokenIssuer } from "./harness/registries/token-issuer.ts";

const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));

interface Row {
  readonly topic: string;
  readonly subject: string;
  readonly state: string;
  readonly found: string;
  readonly advice?: string;
}

/** Runs `entrepot doctor --json` on a configuration. */
async function doctor(config: object, ...args: string[]): Promise<{ code: number; rows: Row[] }> {
  await using folder = await tempDir("doctor");
  const file = folder.file("entrepot.yaml");
  await writeFile(file, stringify({ ...config, storage: { dir: folder.file("data") } }));
  const { code, stdout, stderr } = await run([
    PROGRAM,
    "doctor",
    "--json",
    "--config",
    file,
    ...args,
  ]);
  if (stdout === "") throw new Error(stderr);
  const { findings }: { findings: Row[] } = JSON.parse(stdout);
  return { code, rows: findings };
}

const of = (rows: readonly Row[], topic: string): string[] =>
  rows.filter((row) => row.topic === topic).map(({ state, found }) => `${state}: ${found}`);

realTest("doctor reports no problem for a running cache and a registry with tokens", async () => {
  await using issuer = await startTokenIssuer({
    users: { me: "secret" },
    grants: (user) => (user ? ["pull"] : []),
  });
  await using registry = await startDockerRegistry({ auth: issuer.auth });
  const authorization = issuer.authorization("org/app");
  await push(textImage(), { url: registry.url, repository: "org/app", tag: "1", authorization });
  const trusted = { trustedRealms: [new URL(issuer.realm).host] };
  const upstreams = {
    "reg.test": {
      ...localUpstream(registry.url),
      auth: { username: "me", password: "secret" },
      ...trusted,
    },
    "asks.test": { ...localUpstream(registry.url), ...trusted, access: "upstream" },
  };
  await using cache = await startEntrepot({ config: { upstreams } });
  const args = ["--listen", cache.address, "--admin", cache.adminAddress];
  args.push("--image", "reg.test/org/app:1");
  const { rows } = await doctor({ upstreams }, ...args);
  expect(of(rows, "port")).toEqual(["ok: Entrepot responds", "ok: Entrepot responds"]);
  expect(of(rows, "/v2/")).toEqual(["ok: 401", "ok: 401"]);
  expect(of(rows, "clock")[0]).toMatch(/^ok: \d s ahead$/);
  expect(of(rows, "manifest")[0]).toBe("ok: org/app:1: 200");
  expect(of(rows, "credentials")[0]).toBe("ok: accepted for me");
  expect(of(rows, "through the cache")).toEqual([
    // A cache that asks for credentials for one of them says so to all.
    "ok: /v2/ 401, /v2/_catalog 200, /v2/org/app/manifests/1 200",
    "ok: /v2/ 401, /v2/_catalog 200",
  ]);
  // The cache of this test listens on loopback, which nodes cannot reach.
  const problems = rows.filter(({ state }) => state === "problem");
  expect(problems.map(({ topic }) => topic)).toEqual(["address"]);

  const wrong = {
    "reg.test": { ...upstreams["reg.test"], auth: { username: "me", password: "x" } },
  };
  const refused = await doctor({ upstreams: wrong }, "--image", "reg.test/org/app:1");
  expect(refused.code).toBe(1);
  expect(of(refused.rows, "credentials").join()).toContain("problem: rejected for me");
});

realTest("doctor reports an old registry:2 on the cache's port", async () => {
  await using old = await startDockerRegistry();
  const upstreams = { "reg.test": { port: old.port, url: "https://reg.test" } };
  const config = { listen: `127.0.0.1:${freePort()}`, admin: freePort(), upstreams };
  const { code, rows } = await doctor(config, "--offline");
  expect(code).toBe(1);
  expect(of(rows, "port")).toEqual([
    "note: free: the cache is not running",
    `problem: another registry responds, possibly an old registry:2: docker-registry (process ${old.pid})`,
    "note: free: the cache is not running",
  ]);
});

test("doctor tells which credentials could not be had, and does not take a public image for their proof", async () => {
  using registry = Bun.serve({ port: 0, fetch: () => new Response("") });
  using metadata = Bun.serve({ port: 0, fetch: () => new Response("", { status: 404 }) });
  const url = `http://127.0.0.1:${registry.port}`;
  const images: [string, object][] = [
    ["helper.test", { helper: { program: "/bin/false" } }],
    ["cloud.test", { google: { registry: "europe-docker.pkg.dev" } }],
  ];
  process.env["GCE_METADATA_HOST"] = `127.0.0.1:${metadata.port}`;
  try {
    for (const [name, auth] of images) {
      const upstreams = { [name]: { ...localUpstream(url), auth } };
      const config = { listen: `127.0.0.1:${freePort()}`, upstreams };
      const { rows } = await doctor(config, "--image", `${name}/org/app:1`);
      expect(of(rows, "manifest")).toEqual(["ok: org/app:1: 200"]);
      const [found = "", ...more] = of(rows, "credentials");
      expect(more).toEqual([]);
      expect(found).toMatch(
        name === "helper.test"
          ? /^problem: false \(.*entrepot\.yaml:\d+:\d+\) ended with exit code 1: public images/
          : /^problem: auth\.google \(.*entrepot\.yaml:\d+:\d+\), by the metadata server, 127\.0\.0\.1:\d+ is not Google's metadata server/,
      );
    }
  } finally {
    delete process.env["GCE_METADATA_HOST"];
  }
});

test("doctor reports a wrong clock, a used-up rate limit and an unreachable registry", async () => {
  const date = new Date(Date.now() - 600_000).toUTCString();
  using registry = Bun.serve({
    port: 0,
    fetch: ({ url }) =>
      new Response("", {
        headers: {
          date,
          ...(url.includes("/manifests/")
            ? { "ratelimit-limit": "100;w=21600", "ratelimit-remaining": "3;w=21600" }
            : {}),
        },
      }),
  });
  const upstreams = {
    "docker.io": localUpstream(`http://127.0.0.1:${registry.port}`),
    "away.test": localUpstream(`http://127.0.0.1:${freePort()}`),
    "inside.test": { url: `http://127.0.0.1.nip.invalid:1` },
  };
  const { code, rows } = await doctor({ listen: `127.0.0.1:${freePort()}`, upstreams });
  expect(code).toBe(1);
  expect(of(rows, "clock").join()).toMatch(/^problem: 60\d s ahead$/);
  expect(of(rows, "rate limit")).toEqual(["problem: 3 of 100 pulls left in 6 h"]);
  expect(of(rows, "dns").filter((row) => row.startsWith("problem"))).toEqual([
    "problem: 127.0.0.1.nip.invalid cannot be resolved",
  ]);
  expect(of(rows, "/v2/")[1]).toStartWith("problem: away.test cannot be reached");
  for (const row of rows.filter(({ state }) => state === "problem")) {
    expect(row.advice ?? `(${row.found} has no advice)`).not.toStartWith("(");
  }
});

realTest("doctor reports a registry whose certificate is not trusted", async () => {
  await using folder = await tempDir("tls");
  const tls = await makeCertificate(folder);
  await using registry = await startDockerRegistry({ tls });
  const upstreams = { "reg.test": localUpstream(registry.url) };
  const { code, rows } = await doctor({ listen: `127.0.0.1:${freePort()}`, upstreams });
  expect(code).toBe(1);
  expect(of(rows, "tls").join()).toContain("presents a certificate of a CA that is not trusted");
});

realTest("doctor checks a cache over TLS, including its certificate and key file", async () => {
  await using folder = await tempDir("tls");
  const { certificateFile, keyFile } = await makeCertificate(folder, ["cache.test", "127.0.0.1"]);
  await using registry = await startDockerRegistry();
  await push(textImage(), { url: registry.url, repository: "org/app", tag: "1" });
  const config = {
    tls: { certificate: certificateFile, key: keyFile },
    upstreams: { "reg.test": localUpstream(registry.url) },
  };
  await using cache = await startEntrepot({ config });
  const args = ["--listen", cache.address, "--admin", cache.adminAddress];
  await chmod(keyFile, 0o644);
  const { rows } = await doctor(config, ...args, "--image", "reg.test/org/app:1");
  expect(of(rows, "port")).toEqual(["ok: Entrepot responds", "ok: Entrepot responds"]);
  expect(of(rows, "certificate")).toEqual([
    expect.stringMatching(/^note: valid for [01] days$/),
    "problem: every user can read its private key",
    "ok: for cache.test, 127.0.0.1",
  ]);
  expect(of(rows, "through the cache")).toEqual([
    "ok: /v2/ 200, /v2/_catalog 200, /v2/org/app/manifests/1 200",
  ]);
});

test("doctor reports mirrors that pulls cannot use", async () => {
  await using folder = await tempDir("mirrors");
  const certificate = await makeCertificate(folder);
  await using secure = await startScriptedUpstream({ certificate });
  await using plain = await startScriptedUpstream();
  const own = localUpstream(plain.url);
  const mirrors = [
    own,
    { ...localUpstream(secure.url), ca: certificate.certificate },
    localUpstream(secure.url),
    localUpstream(`http://127.0.0.1:${freePort()}`),
    { ...localUpstream(`${plain.url}/elsewhere`), overridePath: true },
    localUpstream(`${plain.url}/elsewhere`),
  ];
  const upstreams = { "reg.test": { ...own, mirrors } };
  const { rows } = await doctor({ listen: `127.0.0.1:${freePort()}`, upstreams });
  expect(of(rows, "mirror")).toEqual([
    `ok: ${plain.url}/: 200`,
    `ok: ${secure.url}/: 200`,
    expect.stringContaining("a CA that is not trusted"),
    expect.stringContaining("refuses connections"),
    `ok: ${plain.url}/elsewhere: 404`,
    `note: ${plain.url}/elsewhere: 404, but a registry returns 200 or 401`,
  ]);
});

test("doctor exits with 2 for invalid arguments", async () => {
  const short = await run([PROGRAM, "doctor", "--image", "nginx"]);
  expect([short.code, short.stderr]).toEqual([
    2,
    expect.stringContaining('"nginx" has no registry'),
  ]);
  const unknown = await run([PROGRAM, "doctor", "--image", "nowhere.test/a:1"]);
  expect(unknown.code).toBe(2);
  expect(unknown.stderr).toContain('--image: "nowhere.test" is not a configured registry');
});

test("the table of findings is coloured only on a terminal", () => {
  const findings = [
    { topic: "disk", subject: "/data", state: "ok", found: "1 TiB free" },
    { topic: "clock", subject: "ghcr.io", state: "problem", found: "600 s", advice: "set it" },
  ] as const;
  expect(table(findings, false)).toBe(`ok       disk   /data    1 TiB free
problem  clock  ghcr.io  600 s
                         → set it

1 problem, 0 notes`);
  expect(table(findings, true)).toContain("\u001B[31mproblem\u001B[0m");
});

test("doctor says who may pull, and which stored repositories the registry shows to nobody without credentials", async () => {
  await using registry = await startPrivateRegistry();
  const names = ["team/one", "team/two", "open/app"];
  const image = textImage();
  for (const name of names) registry.upstream.add(name, image, "1");
  registry.publish("open/app");
  registry.grant("me", ...names);
  const auth = { username: "me", password: "me-password" };
  const upstream = { ...localUpstream(registry.upstream.url), auth };
  const listen = `0.0.0.0:${freePort()}`;
  await using cache = await startEntrepot({
    config: { upstreams: { "reg.test": upstream } },
    listen,
  });
  const [, port] = listen.split(":");
  for (const name of names) {
    const response = await fetch(`http://127.0.0.1:${port}/v2/${name}/manifests/1?ns=reg.test`);
    expect([name, response.status]).toEqual([name, 200]);
    await response.bytes();
  }
  const accessOf = async (settings: object) => {
    const upstreams = { "reg.test": { ...upstream, ...settings } };
    const args = ["--listen", listen, "--admin", cache.adminAddress];
    return (await doctor({ upstreams }, ...args)).rows.filter(({ topic }) => topic === "access");
  };
  const [mode, open, stored, ...none] = await accessOf({});
  expect(mode).toMatchObject({
    state: "ok",
    found: "open; its own credentials are sent for all images",
  });
  expect(open?.state).toBe("note");
  expect(open?.found).toStartWith(
    `private images that its credentials can see are open to whoever reaches ${listen}.`,
  );
  expect(stored).toMatchObject({
    state: "problem",
    found: expect.stringMatching(
      /^2 stored repositories \(such as team\/(?:one|two)\) are given by the registry with credentials only, and by this cache to everybody$/,
    ),
    advice: expect.stringContaining("set access: upstream or clients for upstreams.reg.test"),
  });
  expect(none).toEqual([]);
  // As it is meant, or for one of them.
  expect((await accessOf({ access: "open" })).map(({ state }) => state)).toEqual(["ok", "note"]);
  const entries = [{ repositories: ["team/one"], access: "denied" }, { access: "open" }];
  expect((await accessOf({ access: entries })).at(-1)?.found).toStartWith(
    "1 stored repository (team/two) is given",
  );
});

test("doctor tells of a registry that asks for nothing, where it is to say who may pull", async () => {
  await using upstream = await startScriptedUpstream();
  const settings = { ...localUpstream(upstream.url), access: "upstream" };
  const listen = `127.0.0.1:${freePort()}`;
  const { rows } = await doctor({ listen, upstreams: { "reg.test": settings } });
  expect(of(rows, "access")).toEqual([
    "ok: upstream",
    "note: the registry asks for no credentials, so with access: upstream everybody may pull",
  ]);
});
