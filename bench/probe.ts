import { fileURLToPath } from "node:url";
import { z } from "zod";
import { mustRun } from "../test/harness/processes.ts";

const SCRIPT = fileURLToPath(new URL("prober.lua", import.meta.url));

/** Latencies of responses up to their last byte, in milliseconds. */
export type Latencies = z.infer<typeof schema>;

const schema = z.object({
  count: z.number().positive(),
  failed: z.literal(0),
  p50: z.number(),
  p99: z.number(),
  max: z.number(),
  /** The number of responses that took more than twice the median. */
  slow: z.number(),
});

/**
 * Measures latency under light load: each client sends a request every few milliseconds. Runs in a
 * process of its own (wrk), so that nothing delays the measurement.
 */
export async function probe(url: string, seconds: number, clients = 4): Promise<Latencies> {
  const load = ["-t1", `-c${clients}`, `-d${seconds}s`];
  const output = await mustRun(["wrk", ...load, "-s", SCRIPT, url]);
  const [, latencies] = /^latencies (.*)$/m.exec(output) ?? [];
  if (latencies === undefined) throw new Error(`wrk ${url}: ${output}`);
  return schema.parse(JSON.parse(latencies));
}
