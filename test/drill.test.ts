import { expect, test } from "bun:test";
import { drillSchema, drillsSchema } from "../src/api/drill.ts";
import { command } from "./harness/cache/commands.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { textImage } from "./harness/images/images.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";

async function setUp() {
  const upstream = await startScriptedUpstream();
  upstream.add("known", textImage({ text: "known" }), "1");
  upstream.add("unknown", textImage({ text: "unknown" }), "1");
  const other = { ...localUpstream(upstream.url), tagTtl: "0s" };
  const config = { upstreams: { "reg.test": other, "other.test": other } };
  const cache = await startEntrepot({ config });
  const pull = async (path: string, ns = "reg.test"): Promise<Response> => {
    const response = await cache.get(`/v2/${path}?ns=${ns}`);
    await response.bytes();
    return response;
  };
  const status = async (path: string): Promise<number> => (await pull(path)).status;
  await pull("known/manifests/1");
  return {
    upstream,
    cache,
    pull,
    status,
    async [Symbol.asyncDispose]() {
      await cache[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

/** What `/metrics` says of a series. */
async function lineOf(cache: Entrepot, series: string): Promise<string | undefined> {
  const lines = (await (await cache.getAdmin("/metrics")).text()).split("\n");
  return lines.find((line) => line.startsWith(`${series} `))?.slice(series.length + 1);
}

test("in a drill an upstream counts as dead until its end, and what would have failed is reported", async () => {
  await using at = await setUp();
  const { cache, pull, upstream } = at;
  const drillMetric = 'entrepot_drill{upstream="reg.test"}';
  expect(await lineOf(cache, drillMetric)).toBe("0");
  const begun = await command(cache, "drill", "--down", "Reg.test", "--for", "1h", "--detach");
  expect([begun.code, begun.stdout]).toEqual([
    0,
    expect.stringMatching(
      /^reg\.test counts as dead in this cache until \d\d:\d\d:\d\d, for another 60 min\.\nNothing was asked for\.\nentrepot drill shows it, entrepot drill stop ends it\.\n$/,
    ),
  ]);
  upstream.forget();
  const stale = await pull("known/manifests/1");
  expect([stale.status, stale.headers.get("warning")]).toEqual([
    200,
    expect.stringContaining("Response is stale: reg.test cannot be reached: a drill"),
  ]);
  const refused = await cache.get("/v2/unknown/manifests/1?ns=reg.test");
  expect(refused.status).toBe(502);
  expect(await refused.text()).toContain(
    "reg.test cannot be reached: a drill has it count as dead",
  );
  expect(upstream.requests()).toEqual([]);
  // Another name for the same registry is another upstream.
  expect((await pull("unknown/manifests/1", "other.test")).status).toBe(200);
  const status = await command(cache, "status");
  expect(status.stdout).toContain("in a drill, reg.test counts as dead until");
  expect(await lineOf(cache, drillMetric)).toBe("1");
  expect(await lineOf(cache, 'entrepot_local_problem{problem="drill"}')).toBe("1");
  const again = await command(cache, "drill", "--down", "other.test");
  expect([again.code, again.stderr]).toEqual([
    1,
    expect.stringContaining("a drill of reg.test goes on until"),
  ]);
  const stopped = await command(cache, "drill", "stop");
  expect(stopped.code).toBe(1);
  expect(stopped.stdout).toContain("2 requests: 0 answered, 1 with a stale tag, 1 failed.");
  expect(stopped.stdout).toMatch(
    /Would have failed:\n.*\n {2}reg\.test\/unknown:1 +1 {2}reg\.test cannot be reached/,
  );
  expect(stopped.stdout).toContain("Served as last known:\n  reg.test/known:1\n");
  expect((await pull("unknown/manifests/1")).status).toBe(200);
  expect((await command(cache, "status")).stdout).toContain("No problems found.");
});

test("after kill -9 a drill goes on until its time, and can be ended", async () => {
  await using at = await setUp();
  const { cache, upstream } = at;
  const body = JSON.stringify({ upstreams: ["reg.test"] });
  const headers = { "content-type": "application/json" };
  const order = await cache.getAdmin("/api/v1/drill", { method: "POST", headers, body });
  const begun = drillSchema.parse(await order.json());
  expect([order.status, begun.endsAt - begun.startedAt]).toEqual([201, 600_000]);
  await cache.stop("SIGKILL");
  const other = { ...localUpstream(upstream.url), tagTtl: "0s" };
  const config = { upstreams: { "reg.test": other } };
  await using next = await startEntrepot({ config, data: cache.data });
  const { current } = drillsSchema.parse(await (await next.getAdmin("/api/v1/drill")).json());
  expect(current).toMatchObject({ startedAt: begun.startedAt, endsAt: begun.endsAt });
  const status = async () => (await next.get("/v2/unknown/manifests/1?ns=reg.test")).status;
  expect(await status()).toBe(502);
  const ended = await next.getAdmin("/api/v1/drill", { method: "DELETE", headers });
  expect(drillSchema.parse(await ended.json()).requests).toEqual({
    served: 0,
    stale: 0,
    failed: 1,
  });
  expect(await status()).toBe(200);
});

test("what is no drill is refused, with what to write instead", async () => {
  await using at = await setUp();
  const cases: readonly (readonly [args: readonly string[], message: string])[] = [
    [["--down", "nowhere.test"], '"nowhere.test" is not cached here: name some of these: reg.test'],
    [["--down", "a b$(id)\n,reg.test"], String.raw`"a b$(id)" is not cached here`],
    [["--down", ""], "It is empty: write docker.io"],
    [["--down", "reg.test", "--for", "25h"], 'error: --for "25h" is not valid: write 1s to 24h'],
    [["stop", "--down", "reg.test"], "error: stop ends the drill that goes on: leave out --down"],
    [["--for", "5m"], "error: --for says how long a drill lasts"],
    [["stop"], "no drill goes on: begin one with entrepot drill --down NAME"],
  ];
  for (const [args, message] of cases) {
    const { code, stderr } = await command(at.cache, "drill", ...args);
    expect([args, code > 0, stderr]).toEqual([args, true, expect.stringContaining(message)]);
  }
});
