import { expect } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { randomContent } from "./harness/images/content.ts";
import type { Entrepot } from "./harness/cache/entrepot.ts";
import { errorResponse } from "./harness/faults/faults.ts";
import { textImage } from "./harness/images/images.ts";
import { startPostgres } from "./harness/replicas/postgres.ts";
import { run } from "./harness/processes.ts";
import { type Prometheus, startPrometheus } from "./harness/services/prometheus.ts";
import { unpackedTests } from "./harness/real-components.ts";
import { startReplicas } from "./harness/replicas/replicas.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

/** By which rules these are refused: one is too young, and one is not signed. */
const REFUSED = ["young", "unsigned"];
const { publicKey } = generateKeyPairSync("ec", {
  namedCurve: "P-256",
  publicKeyEncoding: { type: "spki", format: "pem" },
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
});
const POLICIES = [
  { match: "reg.test/young", minAge: "1d", first: "hold" },
  {
    match: "reg.test/unsigned",
    verify: { mode: "enforce", keys: [publicKey], transparencyLog: false },
  },
];

const ROOT = new URL("..", import.meta.url).pathname;
const RULES = join(ROOT, "deploy/prometheus/rules.yaml");

const panelSchema = z.object({
  title: z.string(),
  targets: z.array(z.object({ expr: z.string() })).default([]),
});
const dashboardSchema = z.object({
  panels: z.array(panelSchema.extend({ panels: z.array(panelSchema).default([]) })),
});
const { panels } = dashboardSchema.parse(
  JSON.parse(readFileSync(join(ROOT, "deploy/grafana/entrepot.json"), "utf8")),
);
const QUERIES = panels
  .flatMap((one) => one.panels.concat(one))
  .flatMap(({ title, targets }) => targets.map(({ expr }) => ({ title, expr })));

/** As Grafana does, with everything selected. */
function filledIn(expr: string): string {
  return expr
    .replaceAll(/\$(job|instance|upstream)\b/g, ".*")
    .replaceAll("$__rate_interval", "3s")
    .replaceAll("$__range", "1h");
}

/** The sum of the samples of a query. */
async function sum(prometheus: Prometheus, expr: string): Promise<number> {
  return (await prometheus.query(expr)).reduce((total, { value }) => total + value, 0);
}

const prometheusTest = await unpackedTests("prometheus", { packages: ["prometheus"] });

prometheusTest(
  "a Prometheus that scrapes replicas under load has data for every panel, and for every rule",
  async (tree) => {
    await using upstream = await startScriptedUpstream();
    await using postgres = await startPostgres();
    await using dir = await tempDir("dashboard");
    const image = textImage({ text: "dashboard" });
    const blob = randomContent(300_000, 1);
    for (const repository of ["app", "passed-on", ...REFUSED]) {
      upstream.add(repository, image, "1");
      upstream.addBlob(repository, blob);
    }
    const headers = { "ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600" };
    upstream.respond(() => ({ headers }));
    const [urlFile, keyFile] = [dir.file("url"), dir.file("key")];
    await writeFile(urlFile, await postgres.database());
    await writeFile(keyFile, "key");
    // An object store that is away: its metrics are there, too.
    const store = {
      url: "http://127.0.0.1:1/bucket",
      accessKeyFile: keyFile,
      secretKeyFile: keyFile,
    };
    await using replicas = await startReplicas({
      url: upstream.url,
      count: 2,
      cluster: () => ({ database: { urlFile }, store }),
      upstream: () => ({ tagTtl: "1s", bypass: ["passed-on"] }),
      config: { policies: POLICIES },
    });
    const targets = replicas.all.map(({ adminAddress }) => adminAddress);
    await using prometheus = await startPrometheus({ tree, targets, rules: RULES });

    const sent = { requests: 0, bytes: 0, refusals: 0 };
    const get = async (cache: Entrepot, path: string): Promise<number> => {
      const response = await cache.get(`/v2/${path}?ns=reg.test`);
      const { byteLength } = await response.bytes();
      sent.bytes += byteLength;
      sent.requests += 1;
      return response.status;
    };
    const refusal = async (cache: Entrepot, repository: string): Promise<number> => {
      const response = await cache.get(`/v2/${repository}/manifests/1?ns=reg.test`);
      sent.refusals += (await response.bytes()).byteLength;
      return response.status;
    };
    let rounds = 0;
    const load = async (): Promise<void> => {
      rounds += 1;
      const [tag, fresh] = [`new-${rounds}`, textImage({ text: `round ${rounds}` })];
      upstream.add("app", fresh, tag);
      const statuses = await Promise.all(
        replicas.all.flatMap((cache) => [
          get(cache, `app/manifests/${tag}`),
          get(cache, `app/blobs/${fresh.blobs[0]?.digest}`),
          ...["app", "passed-on"].flatMap((repository) => [
            get(cache, `${repository}/manifests/1`),
            get(cache, `${repository}/blobs/${blob.digest}`),
          ]),
        ]),
      );
      expect([...new Set(statuses)]).toEqual([200]);
    };
    // Only once, and first: what is fetched for them is not sent, which lowers what is saved.
    const refused = await Promise.all(
      replicas.all.flatMap((cache) => REFUSED.map((name) => refusal(cache, name))),
    );
    expect([...new Set(refused)]).toEqual([403]);
    await load();
    // From now on the registry answers for no tag: they are served stale.
    upstream.respond(({ kind, reference, repository }) =>
      kind === "manifest" && reference === "1" && repository === "app"
        ? errorResponse(500)
        : { headers },
    );
    // Otherwise the caches look for themselves some time after their start.
    await Promise.all(replicas.all.map((cache) => cache.getAdmin("/api/v1/readiness")));
    const missing = new Map(QUERIES.map(({ title, expr }) => [filledIn(expr), title]));
    await until(
      async () => {
        await load();
        for (const query of missing.keys()) {
          const samples = await prometheus.query(query);
          if (samples.some(({ value }) => Number.isFinite(value))) missing.delete(query);
        }
        return missing.size === 0;
      },
      {
        what: "data for every panel",
        within: 30_000,
        detail: () => [...missing.values()].join(", "),
      },
    );
    expect(await prometheus.ruleErrors()).toEqual([]);

    // The numbers are those of the load, and of what the registry sent.
    const metric = (name: string): Promise<number> => sum(prometheus, `sum(${name})`);
    await until(async () => (await metric("entrepot_cache_requests_total")) === sent.requests, {
      what: `${sent.requests} requests`,
    });
    const received = upstream.requests().reduce((total, request) => total + request.sent, 0);
    expect(await metric("entrepot_response_bytes_total")).toBe(sent.bytes + sent.refusals);
    expect(await metric("entrepot_upstream_bytes_total")).toBe(received);
    expect(await metric("entrepot_saved_bytes_total")).toBe(sent.bytes - received);
    expect(await metric("registry_proxy_pushed_bytes_total")).toBe(sent.bytes);

    const text = await (await replicas.all[0]?.getAdmin("/metrics"))?.text();
    const file = dir.file("metrics");
    await writeFile(file, text ?? "");
    const promtool = join(tree, "usr/bin/promtool");
    const lint = await run(["sh", "-c", `"${promtool}" check metrics < "${file}"`]);
    expect(lint).toMatchObject({ code: 0, stdout: "", stderr: "" });
  },
);
