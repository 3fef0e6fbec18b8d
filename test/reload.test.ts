import { describe, expect, test } from "bun:test";
import { mkdir, rename, symlink, unlink, writeFile } from "node:fs/promises";
import { randomContent } from "./harness/images/content.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import { textImage } from "./harness/images/images.ts";
import { freePort } from "./harness/free-port.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;

async function setUp() {
  const upstream = await startScriptedUpstream();
  const dir = await tempDir("reload");
  return {
    upstream,
    dir,
    base: localUpstream(upstream.url),
    async [Symbol.asyncDispose]() {
      await upstream[Symbol.asyncDispose]();
      await dir[Symbol.asyncDispose]();
    },
  };
}

test.concurrent(
  "a configuration change under load fails no pull, and fills in progress continue",
  async () => {
    await using at = await setUp();
    const images = Array.from({ length: 40 }, (_, i) => textImage({ text: `image ${i}` }));
    for (const image of images) at.upstream.add("app", image);
    const large = randomContent(24 * MIB, 1);
    at.upstream.addBlob("app", large);
    await using cache = await startEntrepot({ config: { upstreams: { "reg.test": at.base } } });
    at.upstream.respond(({ reference }) =>
      reference === large.digest ? faults.slow(12 * MIB) : undefined,
    );
    const download = cache
      .get(`/v2/app/blobs/${large.digest}?ns=reg.test`)
      .then((got) => got.bytes());
    const statuses: number[] = [];
    for (const [i, image] of images.entries()) {
      if (i % 4 === 0) {
        const upstreams = { "reg.test": { ...at.base, tagTtl: `${i + 1}s` }, "other.test": null };
        await cache.reconfigure({ upstreams });
      }
      const got = await cache.get(`/v2/app/manifests/${image.manifest.digest}?ns=reg.test`);
      statuses.push(got.status);
      await got.bytes();
    }
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect((await download).length).toBe(large.size);
    const line = await cache.logged("configuration changed");
    expect(String(line["changes"])).toContain("upstreams.other.test: added");
    const names = await (await cache.get("/entrepot/v1/namespaces")).json();
    expect(names).toEqual({ namespaces: ["reg.test", "other.test"] });
  },
  30_000,
);

test.concurrent(
  "an invalid configuration is rejected as a whole, with its position, and a valid one is then applied",
  async () => {
    await using at = await setUp();
    await using cache = await startEntrepot({ config: { upstreams: { "reg.test": at.base } } });
    await writeFile(cache.configFile, "upstreams:\n  new.test: {}\n  reg.test: { tagTtl: soon }\n");
    const refused = await cache.logged("configuration rejected: the previous one stays in use");
    expect(String(refused["problems"])).toContain("entrepot.yaml:3:23: upstreams.reg.test.tagTtl:");
    expect(await (await cache.get("/entrepot/v1/namespaces")).json()).toEqual({
      namespaces: ["reg.test"],
    });
    await cache.reconfigure({ upstreams: { "reg.test": at.base, "new.test": null } });
    await cache.logged("configuration changed");
  },
);

test.concurrent(
  "a file that cannot be read any more is reported once, and the previous settings stay",
  async () => {
    await using at = await setUp();
    const file = at.dir.file("password");
    await writeFile(file, "first");
    const auth = { username: "robot", passwordFile: file };
    const config = { upstreams: { "reg.test": { ...at.base, auth } } };
    await using cache = await startEntrepot({ config });
    await unlink(file);
    await symlink(file, file);
    const refused = await cache.logged("configuration rejected: the previous one stays in use");
    expect(String(refused["problems"])).toContain(`${file} is a symbolic link to itself`);
    await unlink(file);
    await writeFile(file, "second");
    await cache.logged("configuration changed");
    expect(cache.logs().filter((line) => line["msg"] === refused["msg"])).toHaveLength(1);
  },
);

test.concurrent(
  "a configuration change clears the negative cache, so that a missing image is requested again",
  async () => {
    await using at = await setUp();
    await using right = await startScriptedUpstream();
    right.add("app", textImage({ text: "moved here" }), "1");
    const config = (settings: object) => ({ upstreams: { "reg.test": settings } });
    await using cache = await startEntrepot({ config: config(at.base) });
    const status = async () => (await cache.get("/v2/app/manifests/1?ns=reg.test")).status;
    expect(await status()).toBe(404);
    await cache.reconfigure(config(localUpstream(right.url)));
    await until(async () => (await status()) === 200, { what: "the image", within: 5000 });
  },
);

test.concurrent("a changed proxy resets the upstream's circuit breaker", async () => {
  await using at = await setUp();
  at.upstream.add("app", textImage({ text: "without a proxy" }), "1");
  const config = (proxy: string) => ({ upstreams: { "reg.test": { ...at.base, proxy } } });
  await using cache = await startEntrepot({ config: config(`http://127.0.0.1:${freePort()}`) });
  const status = async (tag: string) =>
    (await cache.get(`/v2/app/manifests/${tag}?ns=reg.test`)).status;
  for (const tag of ["a", "b", "c"]) expect(await status(tag)).toBe(502);
  const metrics = async () => (await cache.getAdmin("/metrics")).text();
  expect(await metrics()).toMatch(/entrepot_upstream_circuit_open\{[^}]*\} 1/);
  await cache.reconfigure(config("none"));
  await cache.logged("configuration changed");
  expect(await status("1")).toBe(200);
  expect(await metrics()).toMatch(/entrepot_upstream_circuit_open\{[^}]*\} 0/);
});

test.concurrent(
  "SIGHUP reloads the configuration at once, and a setting that needs a restart is reported",
  async () => {
    await using at = await setUp();
    await using cache = await startEntrepot({ config: { upstreams: { "reg.test": at.base } } });
    await cache.reconfigure({ upstreams: { "reg.test": { ...at.base, port: 5999 } } });
    cache.signal("SIGHUP");
    const line = await cache.logged("configuration changed: restart required");
    expect(String(line["changes"])).toBe("upstreams.reg.test.port: none → 5999");
  },
);

test.concurrent("a deleted password file is reported, and pulls continue", async () => {
  await using at = await setUp();
  const file = at.dir.file("password");
  await writeFile(file, "one");
  const auth = { username: "me", passwordFile: file };
  const config = { upstreams: { "reg.test": { ...at.base, auth } } };
  const image = textImage({ text: "x" });
  at.upstream.add("app", image, "1");
  await using cache = await startEntrepot({ config });
  await unlink(file);
  const refused = await cache.logged("configuration rejected: the previous one stays in use");
  expect(String(refused["problems"])).toMatch(
    /entrepot\.yaml:\d+:\d+: upstreams\.reg\.test\.auth\.passwordFile: .*password does not exist/,
  );
  expect((await cache.get("/v2/app/manifests/1?ns=reg.test")).status).toBe(200);
});

describe("credentials that are rotated under load fail no pull", () => {
  const password = (header: string | null) =>
    Buffer.from((header ?? "").replace("Basic ", ""), "base64").toString();

  test.concurrent.each(["a password file", "a Kubernetes Secret"])("in %s", async (kind) => {
    await using at = await setUp();
    const isSecret = kind !== "a password file";
    // As the kubelet does it: a symlink through ..data, which is replaced atomically.
    const secret = async (round: number) => {
      const folder = at.dir.file(`..${round}`);
      await mkdir(folder);
      await writeFile(`${folder}/username`, "me");
      await writeFile(`${folder}/password`, `p${round}\n`);
      await symlink(`..${round}`, at.dir.file("..next"));
      await rename(at.dir.file("..next"), at.dir.file("..data"));
    };
    const rotate = isSecret
      ? secret
      : (round: number) => writeFile(at.dir.file("password"), `p${round}`);
    await rotate(0);
    if (isSecret) {
      for (const name of ["username", "password"]) {
        await symlink(`..data/${name}`, at.dir.file(name));
      }
    }
    let accepted = "me:p0";
    at.upstream.respond(({ headers }) =>
      password(headers.get("authorization")) === accepted
        ? undefined
        : faults.unauthorized('Basic realm="reg"'),
    );
    const auth = isSecret
      ? { secretDir: at.dir.path }
      : { username: "me", passwordFile: at.dir.file("password") };
    const config = { upstreams: { "reg.test": { ...at.base, auth } } };
    await using cache = await startEntrepot({ config });
    const images = Array.from({ length: 60 }, (_, i) => textImage({ text: `${kind} ${i}` }));
    for (const image of images) at.upstream.add("app", image);
    const statuses = new Set<number>();
    for (const [i, image] of images.entries()) {
      if (i % 10 === 5) {
        await rotate(i);
        accepted = `me:p${i}`;
      }
      const got = await cache.get(`/v2/app/manifests/${image.manifest.digest}?ns=reg.test`);
      statuses.add(got.status);
      await got.bytes();
    }
    expect(statuses).toEqual(new Set([200]));
    expect(cache.logs().filter(({ msg }) => msg === "credentials refused")).toEqual([]);
  });
});

test.concurrent(
  "a password that is rotated during twenty concurrent pulls with tokens fails none",
  async () => {
    await using at = await setUp();
    const images = Array.from({ length: 300 }, (_, i) => textImage({ text: `token ${i}` }));
    for (const image of images) at.upstream.add("app", image);
    const file = at.dir.file("password");
    let round = 0;
    await writeFile(file, "p0");
    at.upstream.respond(({ path, headers }) => {
      const authorization = headers.get("authorization");
      if (path === "/token") {
        if (authorization !== `Basic ${btoa(`me:p${round}`)}`) return faults.errorResponse(401);
        return { status: 200, body: JSON.stringify({ token: `t${round}`, expires_in: 300 }) };
      }
      if (authorization === `Bearer t${round}`) return undefined;
      return faults.unauthorized(`Bearer realm="${at.upstream.url}/token",service="reg"`);
    });
    const auth = { username: "me", passwordFile: file };
    await using cache = await startEntrepot({
      config: { upstreams: { "reg.test": { ...at.base, auth } } },
    });
    const statuses = new Set<number>();
    const left = images.entries();
    const node = async () => {
      for (const [i, { manifest }] of left) {
        if (i % 60 === 30) {
          await writeFile(file, `p${round + 1}`);
          round += 1;
        }
        const got = await cache.get(`/v2/app/manifests/${manifest.digest}?ns=reg.test`);
        statuses.add(got.status);
        await got.bytes();
      }
    };
    await Promise.all(Array.from({ length: 20 }, node));
    expect([round, statuses]).toEqual([5, new Set([200])]);
    expect(cache.logs().filter(({ msg }) => msg === "credentials refused")).toEqual([]);
  },
  30_000,
);

test.concurrent(
  "wrong credentials are reported once per change, and public images are still pulled",
  async () => {
    await using at = await setUp();
    const images = Array.from({ length: 12 }, (_, i) => textImage({ text: `public ${i}` }));
    for (const image of images) at.upstream.add("app", image);
    let refused = 0;
    at.upstream.respond(({ path, headers }) => {
      const authorization = headers.get("authorization");
      if (path === "/token") {
        if (authorization !== null) refused += 1;
        if (authorization !== null) return faults.errorResponse(401);
        return { status: 200, body: JSON.stringify({ token: "anyone" }) };
      }
      if (authorization === "Bearer anyone") return undefined;
      return faults.unauthorized(`Bearer realm="${at.upstream.url}/token",service="reg"`);
    });
    const auth = { username: "me", password: "wrong" };
    const configured = (password: string) => ({
      upstreams: { "reg.test": { ...at.base, auth: { ...auth, password } } },
    });
    await using cache = await startEntrepot({ config: configured("wrong") });
    const pull = async (from: number) => {
      for (const image of images.slice(from, from + 6)) {
        const got = await cache.get(`/v2/app/manifests/${image.manifest.digest}?ns=reg.test`);
        expect(got.status).toBe(200);
      }
    };
    const refusals = () => cache.logs().filter(({ msg }) => msg === "credentials refused");
    await pull(0);
    await until(() => refusals().length === 1, { what: "one report" });
    expect(String(refusals()[0]?.["problem"])).toContain(
      "answered 401 to the credentials of reg.test",
    );
    expect(refused).toBe(1);
    await cache.reconfigure(configured("wrong again"));
    await cache.logged("configuration changed");
    await pull(6);
    await until(() => refusals().length === 2, { what: "the second report" });
  },
);
