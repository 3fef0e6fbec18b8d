import { fileURLToPath } from "node:url";
import { z } from "zod";
import { mustRun } from "../test/harness/processes.ts";

const SCRIPT = fileURLToPath(new URL("prober.lua", import.meta.url));

/** How long answers took, to their last byte, in milliseconds. */
export type Waits = z.infer<typeof form>;

const form = z.object({
  count: z.number().positive(),
  failed: z.literal(0),
  p50: z.number(),
  p99: z.number(),
  slowest: z.number(),
  /** How many took more than twice the median. */
  slow: z.number(),
});

/** Clients that ask now and then, for some seconds: in a process that nothing keeps from the clock. */
export async function probe(url: string, seconds: number, clients = 4): Promise<Waits> {
  const load = ["-t1", `-c${clients}`, `-d${seconds}s`];
  const output = await mustRun(["wrk", ...load, "-s", SCRIPT, url]);
  const [, waits] = /^waits (.*)$/m.exec(output) ?? [];
  if (waits === undefined) throw new Error(`wrk ${url}: ${output}`);
  return form.parse(JSON.parse(waits));
}
