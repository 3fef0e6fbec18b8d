import { afterAll, expect, test } from "bun:test";
import { type Job, jobSchema, jobsSchema } from "../src/api/jobs.ts";
import { readinessSchema } from "../src/api/readiness.ts";
import { warmResultSchema } from "../src/api/warm.ts";
import { command } from "./harness/cache/commands.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { KubernetesApi } from "./harness/kubernetes-api/kubernetes-api.ts";
import * as faults from "./harness/faults/faults.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";
import { arm, multi, single } from "./harness/images/wanted-images.ts";

async function setUp(further: object = {}) {
  const upstream = await startScriptedUpstream();
  upstream.add("multi", multi, "1");
  upstream.add("single", single, "1");
  const config = { upstreams: { "reg.test": localUpstream(upstream.url) }, ...further };
  const cache = await startEntrepot({ config });
  const post = (path: string, body: object = {}): Promise<Response> =>
    cache.getAdmin(`/api/v1${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const job = async (id: string): Promise<Job> =>
    jobSchema.parse(await (await cache.getAdmin(`/api/v1/jobs/${id}`)).json());
  return {
    upstream,
    cache,
    post,
    job,
    /** The job of an order, once it has ended. */
    async warm(order: object, path = "/warm"): Promise<Job> {
      const { id } = jobSchema.parse(await (await post(path, order)).json());
      let last = await job(id);
      await until(
        async () => {
          last = await job(id);
          return last.endedAt !== undefined;
        },
        { what: "the job has ended" },
      );
      return last;
    },
    async [Symbol.asyncDispose]() {
      await cache[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

test("what is warmed is pulled, and is ready, while its registry is down; what is not, says so", async () => {
  await using dir = await tempDir("warm");
  await using cluster = await KubernetesApi.start();
  const [kubeconfig, container] = [dir.file("kubeconfig"), { image: "reg.test/single:1" }];
  const spec = { replicas: 0, template: { spec: { containers: [container] } } };
  cluster.store.put("deployments", { metadata: { name: "web", namespace: "shop" }, spec });
  await Bun.write(kubeconfig, JSON.stringify(cluster.kubeconfig()));
  await using at = await setUp({
    warm: { base: { images: ["reg.test/multi:1"], platforms: ["linux/arm64"], pin: true } },
    kubernetes: { kubeconfig },
  });
  const job = await at.warm({}, "/warm/base");
  expect(job).toMatchObject({ state: "done", title: "Warm the list base" });
  expect(warmResultSchema.parse(job.result)).toMatchObject({ ready: 1, failed: 0 });
  const pins = await (await at.cache.getAdmin("/api/v1/pins")).text();
  expect(pins).toContain('"pattern":"reg.test/multi:1"');
  // Scaled to zero, and wanted all the same.
  const fromCluster = await at.warm({ from: ["cluster"] });
  expect(fromCluster).toMatchObject({ state: "done", title: "Warm what the cluster runs" });
  await at.upstream.stop();
  const get = async (path: string): Promise<number> => {
    const response = await at.cache.get(`/v2/${path}?ns=reg.test`);
    await response.bytes();
    return response.status;
  };
  const paths = [
    "multi/manifests/1",
    `multi/manifests/${arm?.manifest.digest}`,
    ...(arm?.blobs ?? []).map(({ digest }) => `multi/blobs/${digest}`),
  ];
  expect(await Promise.all(paths.map(get))).toEqual(paths.map(() => 200));
  const readiness = readinessSchema.parse(
    await (await at.cache.getAdmin("/api/v1/readiness?fresh=true")).json(),
  );
  expect(readiness).toMatchObject({ wanted: 2, ready: 2, ratio: 1 });
  expect(readiness.items.find(({ image }) => image === "reg.test/single:1")?.wantedBy).toContain(
    "Deployment shop/web",
  );
  const asked = readinessSchema.parse(
    await (
      await at.post("/readiness", { images: ["reg.test/multi:1", "reg.test/single:2"] })
    ).json(),
  );
  expect(asked.sentence).toBe("If reg.test died now, 1 of its 2 images would not start.");
  const metrics = await (await at.cache.getAdmin("/metrics")).text();
  expect(metrics).toContain('entrepot_readiness_ratio{upstream="reg.test"} 1\n');
});

/** The other signal only in `npm run test:long`: it takes seconds. */
const SIGNALS: readonly NodeJS.Signals[] =
  process.env["ENTREPOT_LONG"] === "1" ? ["SIGKILL", "SIGTERM"] : ["SIGKILL"];

test.each(SIGNALS)(
  "an order that a cache was in when it got %s is gone on with by the next one",
  async (signal) => {
    await using dir = await tempDir("warm");
    await using upstream = await startScriptedUpstream();
    upstream.add("single", single, "1");
    const [, layer] = single.blobs;
    upstream.respond(({ reference }) =>
      reference === layer?.digest ? faults.stallAfter(10) : undefined,
    );
    const config = { upstreams: { "reg.test": localUpstream(upstream.url) } };
    const data = dir.file("data");
    await using before = await startEntrepot({ config, data });
    await before.getAdmin("/api/v1/warm", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ images: ["reg.test/single:1"] }),
    });
    const isRequested = (): boolean =>
      upstream.requests({ reference: layer?.digest ?? "" }).length > 0;
    await until(isRequested, { what: "the layer is requested" });
    await before.stop(signal);
    upstream.respond();
    await using after = await startEntrepot({ config, data });
    const jobs = async (): Promise<readonly Job[]> =>
      jobsSchema.parse(await (await after.getAdmin("/api/v1/jobs")).json()).items;
    await until(async () => (await jobs())[0]?.state === "done", { what: "it is gone on with" });
    expect(await jobs()).toMatchObject([{ title: "Warm reg.test/single:1", result: { ready: 1 } }]);
  },
  60_000,
);

const shared = setUp();

afterAll(async () => (await shared)[Symbol.asyncDispose]());

test.each([
  [{ images: ["node:>=x.y"] }, 400, "neither a tag nor a range of versions"],
  [{ images: ["a\nb"] }, 400, "is not an image"],
  [{ images: [""] }, 400, "is not an image"],
  [{ images: [] }, 400, "no image is named"],
  [{ images: ["nginx"], platforms: ["arm"] }, 400, "is not a platform"],
  [{ images: ["nginx"], max: 0 }, 400, "max"],
  [{ image: ["nginx"] }, 400, "image"],
  [{ from: ["cluster"] }, 409, "nothing is known of a cluster here"],
])("the order %j is refused with %d: %s", async (order, status, message) => {
  const refused = await (await shared).post("/warm", order);
  expect(refused.status).toBe(status);
  expect(await refused.text()).toContain(message);
});

test("an order that is cancelled in the middle is gone on with", async () => {
  const at = await shared;
  const [, layer] = arm?.blobs ?? [];
  at.upstream.respond(({ reference }) =>
    reference === layer?.digest ? faults.stallAfter(10) : undefined,
  );
  const order = { images: ["reg.test/multi:1"], platforms: ["linux/arm64"] };
  const started = await at.post("/warm", order);
  expect(started.status).toBe(202);
  const { id } = jobSchema.parse(await started.json());
  const isRequested = (): boolean =>
    at.upstream.requests({ reference: layer?.digest ?? "" }).length > 0;
  await until(isRequested, { what: "the layer is requested" });
  const cancelled = await at.cache.getAdmin(`/api/v1/jobs/${id}`, {
    method: "DELETE",
    headers: { "content-type": "application/json" },
  });
  expect(cancelled.status).toBe(202);
  await until(async () => (await at.job(id)).state === "cancelled", { what: "it is cancelled" });
  at.upstream.respond();
  at.upstream.forget();
  expect(await at.warm(order)).toMatchObject({ state: "done" });
  expect(at.upstream.requests({ kind: "manifest", method: "GET" })).toHaveLength(0);
});

test("the commands say what is missing, fetch it, and name the place of what is wrong", async () => {
  const at = await shared;
  const list = at.cache.data + "/images.txt";
  const lacking = await command(at.cache, "ready", "reg.test/single:1");
  expect(lacking).toMatchObject({ code: 1, stderr: "" });
  expect(lacking.stdout).toContain(
    "If reg.test died now, the one image that is wanted would not start.",
  );
  await Bun.write(list, "# ours\nreg.test/single:1\n  $(id)\n");
  expect(await command(at.cache, "warm", "--file", list)).toMatchObject({
    code: 2,
    stderr: `entrepot: ${list}:3:3: "$(id)" is not an image: write docker.io/library/nginx:1.27, or docker.io/library/node:>=22 <25\n`,
  });
  await Bun.write(list, "# none\n");
  expect(await command(at.cache, "warm", "--file", list)).toMatchObject({
    code: 2,
    stderr: `entrepot: --file: no image is named in ${list}\n`,
  });
  for (const [args, message] of [
    [["warm", "--list", ""], "It is empty: write the name of one."],
    [["warm", "--from-node", " "], "It is empty: write the path of one"],
    [["unpin", ""], "It is empty: write one that entrepot pin lists."],
    [["events", "test", ""], "It is empty: write the name of one."],
    [["drill", "--down", "reg.test,"], "It is empty: write docker.io, or several with commas"],
  ] as const) {
    const refused = await command(at.cache, ...args);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining(message) });
  }
  for (const [path, body] of [
    ["/drill", { upstreams: [" "], seconds: 5 }],
    ["/webhooks/test", { name: "" }],
  ] as const) {
    expect((await at.post(path, body)).status).toBe(400);
  }
  const ofList = await command(at.cache, "warm", "--list", "base", "--pin", "--max", "5");
  expect(ofList).toMatchObject({ code: 2, stderr: expect.stringContaining("leave these options") });
  await Bun.write(list, "# ours\r\nreg.test/single:1 # pinned\r\n");
  const warmed = await command(at.cache, "warm", "reg.test/none:\u001b[2J1", "--file", list);
  expect(warmed).toMatchObject({ code: 2 });
  const fixed = await command(at.cache, "warm", "reg.test/none", "--file", list);
  expect(fixed).toMatchObject({
    code: 1,
    stdout:
      "1 image is here: downloaded 2 blobs, 371 B.\n1 image is not here:\n  reg.test/none:latest: reg.test has no manifest none:latest\n",
  });
  const ready = async () => {
    const { code, stdout } = await command(at.cache, "ready", "--fix", "--json");
    return { code, report: readinessSchema.parse(JSON.parse(stdout)) };
  };
  const jobs = await command(at.cache, "jobs");
  expect(jobs.stdout).toMatch(
    /partly .* Warm reg\.test\/none and 1 more: 1 of 2 images are not here, such as reg\.test\/none:latest: reg\.test has no manifest/,
  );
  expect(await at.warm({ images: ["reg.test/none"] })).toMatchObject({
    state: "done",
    outcome: "failed",
    shortfall: expect.stringContaining("1 of 1 image is not here"),
  });
  // What is only warmed was pulled by nobody, and is not wanted for that.
  expect(await ready()).toMatchObject({ code: 0, report: { wanted: 0 } });
  await (await at.cache.get("/v2/single/manifests/1?ns=reg.test")).bytes();
  const items = [{ image: "reg.test/single:1", wantedBy: [expect.stringContaining("pulled ")] }];
  expect(await ready()).toMatchObject({ code: 0, report: { wanted: 1, ready: 1, items } });
}, 60_000);

test("a list that there is not is none", async () => {
  const at = await shared;
  expect((await at.post("/warm/none")).status).toBe(404);
});
