import { expect, test } from "bun:test";
import { bytesOf, randomContent } from "./harness/images/content.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import { textImage } from "./harness/images/images.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { run } from "./harness/processes.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { storedBlobs, unfinishedFills, verifyStore } from "./harness/cache/store-files.ts";
import { failureOf, until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;
const entrepot = new URL("../bin/entrepot", import.meta.url).pathname;

test.concurrent(
  "the cache starts and reports itself healthy while no upstream is reachable",
  async () => {
    await using cache = await startEntrepot();
    expect(await (await cache.get("/entrepot/v1/namespaces")).json()).toEqual({
      namespaces: ["docker.io", "ghcr.io", "quay.io", "registry.k8s.io", "reg.kyverno.io"],
    });
    for (const get of [() => cache.get("/healthz"), () => cache.getAdmin("/readyz")]) {
      expect((await get()).status).toBe(200);
    }
    const response = await cache.get("/v2/library/busybox/manifests/latest");
    expect(response.status).toBe(502);
    expect(await response.text()).toContain("docker.io cannot be reached");
    const metrics = await (await cache.getAdmin("/metrics")).text();
    expect(metrics).toContain(
      'entrepot_requests_total{upstream="docker.io",kind="manifest",method="GET",status="502"} 1',
    );
  },
);

test.concurrent(
  "a second process on the same data directory exits, and the first is unaffected",
  async () => {
    await using cache = await startEntrepot();
    const args = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", cache.data];
    const { code, stderr } = await run([entrepot, "serve", ...args]);
    expect(code).toBe(1);
    expect(stderr).toContain(cache.data);
    expect(stderr).toContain(String(cache.pid));
    expect((await cache.get("/v2/")).status).toBe(200);
  },
);

test.concurrent(
  "a port in use prevents the start, and the error names who holds it and what to type instead",
  async () => {
    await using cache = await startEntrepot();
    await using dir = await tempDir("other");
    const started = async (env: Record<string, string>, ...ports: string[]) => {
      const { code, stderr } = await run([entrepot, "serve", ...ports, "--data", dir.path], {
        env,
      });
      expect(code).toBe(1);
      return stderr;
    };
    const holder = `cannot be opened: Entrepot (process ${cache.pid}) listens there (\`ps -fp ${cache.pid}\` shows more). Stop it, or choose another port: `;
    const [listen, admin] = [cache.address, cache.adminAddress];
    const own = "127.0.0.1:0";
    const npm = { npm_lifecycle_event: "start" };
    const onListen = await started(npm, "--listen", listen, "--admin", own);
    expect(onListen.startsWith(`entrepot: listen ${listen} ${holder}`)).toBe(true);
    expect(onListen).toMatch(/ npm start -- --listen 127\.0\.0\.1:\d+\n$/);
    const onAdmin = await started({}, "--listen", own, "--admin", admin);
    expect(onAdmin.startsWith(`entrepot: admin ${admin} ${holder}`)).toBe(true);
    expect(onAdmin).toMatch(/ port: --admin 127\.0\.0\.1:\d+\n$/);
    expect(await started({}, "--listen", "192.0.2.1:5000", "--admin", own)).toMatch(
      /^entrepot: listen 192\.0\.2\.1:5000 cannot be opened: this machine does not have that address\. It has 127\.0\.0\.1/,
    );
    expect(await started({}, "--listen", "nosuch.example:5000", "--admin", own)).toStartWith(
      "entrepot: listen nosuch.example:5000 cannot be opened: nosuch.example is not a name of this machine",
    );
  },
);

test.concurrent("the configuration may be a pipe that a shell passes", async () => {
  await using dir = await tempDir("pipe");
  const options = `--listen 127.0.0.1:0 --admin 127.0.0.1:0 --data ${dir.path}`;
  const command = `"${entrepot}" serve ${options} --config <(echo 'upstreams: { reg.test: { speed: 1 } }')`;
  const { code, stderr } = await run(["bash", "-c", command]);
  expect(stderr).toMatch(
    /^entrepot: \/dev\/fd\/\d+:1:26: upstreams\.reg\.test: unknown key "speed"/m,
  );
  expect(code).toBe(2);
});

test.concurrent("SIGTERM lets a download and its client finish before the exit", async () => {
  await using upstream = await startScriptedUpstream();
  const blob = randomContent(20 * MIB);
  upstream.addBlob("app", blob);
  upstream.respond(() => faults.slow(20 * MIB));
  const config = { upstreams: { "reg.test": localUpstream(upstream.url) } };
  await using cache = await startEntrepot({ config });
  const response = await cache.get(`/v2/app/blobs/${blob.digest}?ns=reg.test`);
  const body = response.bytes();
  const exit = cache.stop();
  expect(await body).toEqual(bytesOf(blob));
  expect(await exit).toBe(0);
  expect(await verifyStore(cache.data)).toEqual([blob.digest]);
});

test.concurrent(
  "a download that does not finish before the shutdown deadline resumes after the restart",
  async () => {
    await using upstream = await startScriptedUpstream();
    await using data = await tempDir("data");
    const blob = randomContent(20 * MIB);
    upstream.addBlob("app", blob);
    // Otherwise the further connections that relieve a stalled one would bring the rest in time.
    upstream.respond(({ nth }) => faults.stallAfter(nth === 1 ? 6 * MIB : 0));
    const config = { upstreams: { "reg.test": localUpstream(upstream.url) } };
    const path = `/v2/app/blobs/${blob.digest}?ns=reg.test`;
    {
      await using cache = await startEntrepot({ config, data: data.file("d") });
      const response = await cache.get(path);
      const body = failureOf(response.bytes());
      await until(() => upstream.requests()[0]?.sent === 6 * MIB, { what: "6 MiB" });
      const started = performance.now();
      expect(await cache.stop()).toBe(0);
      expect(performance.now() - started).toBeLessThan(20_000);
      await body;
      expect(await unfinishedFills(cache.data)).toHaveLength(1);
    }
    upstream.respond();
    upstream.forget();
    await using cache = await startEntrepot({ config, data: data.file("d") });
    expect(await (await cache.get(path)).bytes()).toEqual(bytesOf(blob));
    const [range] = upstream.requests().map(({ headers }) => headers.get("range"));
    expect(Number(range?.match(/\d+/)?.[0])).toBeGreaterThan(5 * MIB);
  },
  60_000,
);

test.concurrent(
  "kill -9 during a fill loses no stored blob and leaves no corrupt one",
  async () => {
    await using upstream = await startScriptedUpstream();
    await using data = await tempDir("data");
    const [small, large] = [randomContent(MIB, 1), randomContent(20 * MIB, 2)];
    for (const blob of [small, large]) upstream.addBlob("app", blob);
    const config = { upstreams: { "reg.test": localUpstream(upstream.url) } };
    const path = (blob: typeof small) => `/v2/app/blobs/${blob.digest}?ns=reg.test`;
    {
      await using cache = await startEntrepot({ config, data: data.file("d") });
      await (await cache.get(path(small))).bytes();
      const isStored = async () => (await storedBlobs(cache.data)).length === 1;
      await until(isStored, { what: "the small blob is stored" });
      upstream.respond(() => faults.stallAfter(6 * MIB));
      const response = await cache.get(path(large));
      const body = failureOf(response.bytes());
      await until(() => upstream.requests().at(-1)?.sent === 6 * MIB, { what: "6 MiB" });
      expect(await cache.stop("SIGKILL")).toBe(137);
      await body;
    }
    upstream.respond();
    await using cache = await startEntrepot({ config, data: data.file("d") });
    expect(await verifyStore(cache.data)).toEqual([small.digest]);
    expect(await (await cache.get(path(large))).bytes()).toEqual(bytesOf(large));
    await upstream.stop();
    expect(await (await cache.get(path(small))).bytes()).toEqual(bytesOf(small));
  },
);

test.concurrent("each request is logged in one line, without secrets or the query", async () => {
  await using upstream = await startScriptedUpstream();
  upstream.add("app", textImage(), "1");
  const config = { upstreams: { "reg.test": localUpstream(upstream.url) } };
  await using cache = await startEntrepot({ config });
  const headers = { authorization: "Basic c2VjcmV0OnNlY3JldA==" };
  await (await cache.get("/v2/app/manifests/1?ns=reg.test&token=hush", { headers })).bytes();
  const line = await cache.logged("request");
  expect(line).toMatchObject({
    method: "GET",
    path: "/v2/app/manifests/1",
    namespace: "reg.test",
    status: 200,
    cache: "miss",
    client: "127.0.0.1",
  });
  expect(JSON.stringify(cache.logs())).not.toMatch(/hush|c2VjcmV0|authorization/i);
  expect(await storedBlobs(cache.data)).toHaveLength(1);
});
