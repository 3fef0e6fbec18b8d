import { Command } from "commander";
import { loadSettings } from "../../config/load.ts";
import { ConfigError } from "../../config/parsing/problems.ts";
import { printableLines } from "../../printable.ts";
import type { Settings } from "../../config/settings.ts";

interface HealthOptions {
  readonly config?: string;
  readonly listen?: string;
}

/** Shorter than the timeouts that health checks usually have, so that the reason is printed. */
const TIMEOUT_MS = 3_000;

export function healthCommand(): Command {
  return new Command("health")
    .description(
      "ask the cache on this machine whether it serves nodes, for health checks of containers",
    )
    .option("--config <file>", "configuration of the cache (ENTREPOT_CONFIG)")
    .option("--listen <address>", "address for nodes (default: 0.0.0.0:5000; ENTREPOT_LISTEN)")
    .addHelpText(
      "after",
      "\nThe exit code is 0 if it does, even if no registry can be reached, and else 1.",
    )
    .action(async (options: HealthOptions) => {
      process.exitCode = await run(options);
    });
}

async function run(options: HealthOptions): Promise<number> {
  try {
    // That of a cache elsewhere may be set for the other commands, and is of no interest here.
    const env = { ...process.env, ENTREPOT_ADMIN: undefined };
    const url = healthUrl(loadSettings({ flags: options, env }));
    const problem = await problemAt(url);
    if (problem === undefined) console.log(`${url} responds`);
    else process.stderr.write(`entrepot: ${url} ${problem}\n`);
    return problem === undefined ? 0 : 1;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`entrepot: ${printableLines(error.message)}\n`);
    return 2;
  }
}

/** The port for nodes is asked, not that for operators: nodes are whom a cache has to serve. */
function healthUrl({ listen, tls }: Settings): string {
  // A cache that listens at all addresses is reached by loopback from here.
  const host = { "0.0.0.0": "127.0.0.1", "::": "::1" }[listen.host] ?? listen.host;
  const name = host.includes(":") ? `[${host}]` : host;
  return `${tls ? "https" : "http"}://${name}:${listen.port}/healthz`;
}

async function problemAt(url: string): Promise<string | undefined> {
  try {
    const response = await fetch(url, {
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT_MS),
      // The certificate has the name that nodes use, which is not the one used here.
      tls: { rejectUnauthorized: false },
    });
    await response.body?.cancel();
    return response.ok ? undefined : `responds with ${response.status}`;
  } catch (error) {
    const isLate = error instanceof DOMException && error.name === "TimeoutError";
    if (isLate) return `did not respond within ${TIMEOUT_MS / 1000} s`;
    if (error instanceof Error && "code" in error && error.code === "ECONNREFUSED") {
      return "does not respond: nothing listens there";
    }
    return `does not respond: ${error instanceof Error ? error.message : String(error)}`;
  }
}
