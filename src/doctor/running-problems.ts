import { z } from "zod";
import { adminEndpoint } from "../config/addresses/admin-endpoint.ts";
import type { Settings } from "../config/settings.ts";
import { clusterFindings, clusterSchema } from "./cluster.ts";
import { type Finding, reporter } from "./finding.ts";

const TIMEOUT_MS = 5000;

/** The parts of the status of a running cache that are of interest here. */
const statusSchema = z.object({
  machine: z.object({ problems: z.array(z.object({ kind: z.string(), text: z.string() })) }),
  cluster: clusterSchema.optional(),
});

/** What a running cache knows of its machine and of its cluster; undefined if no cache runs. */
export async function runningProblems(
  settings: Pick<Settings, "admin" | "adminTokens" | "adminTls">,
): Promise<Finding[] | undefined> {
  const { url, headers, tls } = adminEndpoint(settings);
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  let status: unknown;
  try {
    const response = await fetch(`${url}/api/v1/status`, {
      headers,
      signal,
      redirect: "manual",
      ...(tls && { tls }),
    });
    status = await response.json();
  } catch {
    return undefined;
  }
  const running = statusSchema.safeParse(status).data;
  if (!running) return undefined;
  const advice = "see docs/how-to/troubleshoot.md, “Problems of the cache's machine”";
  return [
    ...running.machine.problems.map(({ kind, text }) =>
      reporter("machine", kind)("problem", `the running cache says: ${text}`, advice),
    ),
    ...(running.cluster ? clusterFindings(running.cluster) : []),
  ];
}
