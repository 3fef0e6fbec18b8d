import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { z } from "zod";
import { nodeOutputSchema } from "../../src/commands/node/output-schema.ts";
import { type RunningCache, runCache } from "../../src/commands/serve/running-cache.ts";
import type { ClusterSettings } from "../../src/config/cluster-settings.ts";
import { loadSettings } from "../../src/config/load.ts";
import { createLog } from "../../src/telemetry/log.ts";
import { describeApi } from "../../src/server/api/document.ts";
import { version } from "../../src/version.ts";
import { chartReadme } from "../chart/readme.ts";
import { CHART, chartValues } from "../chart/values-file.ts";
import { valuesSchema } from "../chart/values-schema.ts";
import { dashboard } from "../dashboard/dashboard.ts";
import { commandsPage } from "./commands.ts";
import { configurationPage, configurationSchema } from "./configuration.ts";
import { metricsPage } from "./metrics.ts";

const root = path.dirname(path.dirname(import.meta.dir));

/** The generated pages, formatted with `bun fmt`, by their path relative to the checkout's root. */
export async function referencePages(): Promise<Readonly<Record<string, string>>> {
  const configuration = configurationSchema();
  const schema = `${JSON.stringify(configuration, null, 2)}\n`;
  const board = `${JSON.stringify(dashboard(), null, 2)}\n`;
  const values = chartValues();
  const { metrics, operations } = await startedReplica();
  const pages: Readonly<Record<string, string>> = {
    "docs/reference/commands.md": await commandsPage(),
    "docs/reference/configuration.md": configurationPage(),
    "docs/reference/entrepot.schema.json": schema,
    "docs/reference/entrepot-node.schema.json": `${JSON.stringify(nodeOutputJsonSchema(), null, 2)}\n`,
    "docs/reference/metrics.md": metricsPage(metrics),
    "docs/reference/openapi.json": `${JSON.stringify(describeApi(operations, version), null, 2)}\n`,
    "deploy/grafana/entrepot.json": board,
    // A chart reads no files outside of its folder, and Argo CD follows no links that lead out of one.
    [`${CHART}/files/dashboard.json`]: board,
    [`${CHART}/files/rules.yaml`]: readFileSync(
      path.join(root, "deploy/prometheus/rules.yaml"),
      "utf8",
    ),
    [`${CHART}/values.schema.json`]: `${JSON.stringify(valuesSchema(values, { ...configuration }), null, 2)}\n`,
    [`${CHART}/README.md`]: chartReadme(values),
  };
  return Object.fromEntries(
    Object.entries(pages).map(([name, text]) => [name, formatted(name, text)]),
  );
}

function nodeOutputJsonSchema(): object {
  return z.toJSONSchema(nodeOutputSchema, { io: "output" });
}

/** A cluster of one: its parts measure themselves, whoever else there is. */
const CLUSTER: ClusterSettings = {
  listen: { host: "127.0.0.1", port: 0 },
  advertise: new URL("http://127.0.0.1:5002"),
  secret: "the secret of the reference",
  members: [],
  database: {
    host: "127.0.0.1",
    port: 1,
    user: "entrepot",
    password: "",
    database: "entrepot",
    tls: "none",
  },
  store: {
    url: new URL("http://127.0.0.1:1/bucket"),
    isPathStyle: true,
    region: "us-east-1",
    keys: { kind: "files", accessKeyFile: "/dev/null", secretKeyFile: "/dev/null" },
  },
};

/** Starts a replica for a moment: gauges and operations come from the parts that they concern. */
async function startedReplica(): Promise<Pick<RunningCache, "metrics" | "operations">> {
  const directory = mkdtempSync(path.join(tmpdir(), "entrepot-reference-"));
  try {
    const anyPort = "127.0.0.1:0";
    const flags = { listen: anyPort, admin: anyPort, data: directory };
    const cache = await runCache(
      { ...loadSettings({ flags, env: {} }), cluster: CLUSTER },
      createLog({ format: "json", level: "silent" }),
    );
    await cache.close();
    return cache;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function formatted(name: string, text: string): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(
    [process.execPath, "fmt", "--no-script", `--stdin-filepath=${name}`],
    { stdin: Buffer.from(text), stdout: "pipe", stderr: "pipe" },
  );
  if (exitCode !== 0) throw new Error(`bun fmt cannot format ${name}: ${stderr.toString()}`);
  return stdout.toString();
}
