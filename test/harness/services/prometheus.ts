import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import { z } from "zod";
import { freePort } from "../free-port.ts";
import { type ChildProcess, startProcess } from "../processes.ts";
import { type TempDir, tempDir } from "../temp-dir.ts";

export interface PrometheusOptions {
  /** The folder into which Debian's package was unpacked. */
  readonly tree: string;
  /** `host:port` of what is scraped, four times a second. */
  readonly targets: readonly string[];
  /** A file with rules, which are evaluated as often. */
  readonly rules?: string;
}

/** One series of an answer: its labels, and its value now. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const INTERVAL = "250ms";

const answerSchema = z.object({
  status: z.literal("success"),
  data: z.object({
    result: z.array(
      z.object({
        metric: z.record(z.string(), z.string()),
        value: z.tuple([z.number(), z.string()]),
      }),
    ),
  }),
});
const rulesSchema = z.object({
  data: z.object({
    groups: z.array(
      z.object({
        rules: z.array(
          z.object({ name: z.string(), health: z.string(), lastError: z.string().optional() }),
        ),
      }),
    ),
  }),
});

/** Debian's Prometheus, with what it has scraped so far. */
export class Prometheus implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #dir: TempDir;
  readonly #url: string;

  constructor(process: ChildProcess, dir: TempDir, url: string) {
    this.#process = process;
    this.#dir = dir;
    this.#url = url;
  }

  /** Evaluates a query now. @throws Error with what Prometheus says of a query that it refuses */
  async query(expr: string): Promise<readonly Sample[]> {
    const response = await fetch(`${this.#url}/api/v1/query`, {
      method: "POST",
      body: new URLSearchParams({ query: expr }),
    });
    if (!response.ok) throw new Error(`${expr}: ${await response.text()}`);
    const { data } = answerSchema.parse(await response.json());
    return data.result.map(({ metric, value: [, text] }) => ({
      labels: metric,
      value: Number(text),
    }));
  }

  /** What is wrong with rules, by their name. */
  async ruleErrors(): Promise<readonly string[]> {
    const response = await fetch(`${this.#url}/api/v1/rules`);
    const { data } = rulesSchema.parse(await response.json());
    return data.groups.flatMap(({ rules }) =>
      rules
        .filter(({ health }) => health === "err")
        .map(({ name, lastError }) => `${name}: ${lastError}`),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.stop("SIGKILL");
    await this.#dir[Symbol.asyncDispose]();
  }
}

export async function startPrometheus(options: PrometheusOptions): Promise<Prometheus> {
  const { tree, targets, rules } = options;
  const dir = await tempDir("prometheus");
  const address = `127.0.0.1:${freePort()}`;
  const config = {
    global: { scrape_interval: INTERVAL, scrape_timeout: INTERVAL, evaluation_interval: INTERVAL },
    rule_files: rules === undefined ? [] : [rules],
    scrape_configs: [{ job_name: "entrepot", static_configs: [{ targets }] }],
  };
  try {
    await writeFile(dir.file("prometheus.yml"), stringify(config));
    const process = await startProcess({
      name: "prometheus",
      command: [
        join(tree, "usr/bin/prometheus"),
        `--config.file=${dir.file("prometheus.yml")}`,
        `--storage.tsdb.path=${dir.file("data")}`,
        `--web.listen-address=${address}`,
      ],
      ready: async () =>
        (await fetch(`http://${address}/-/ready`).catch(() => undefined))?.ok === true,
    });
    return new Prometheus(process, dir, `http://${address}`);
  } catch (error) {
    await dir[Symbol.asyncDispose]();
    throw error;
  }
}
