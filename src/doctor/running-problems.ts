import { z } from "zod";
import type { Settings } from "../config/settings.ts";
import { type Finding, reporter } from "./finding.ts";
import { dialableHost, urlOf } from "./ports.ts";

const TIMEOUT_MS = 5000;

/** The part of the status of a running cache that is of interest here. */
const statusSchema = z.object({
  machine: z.object({ problems: z.array(z.object({ kind: z.string(), text: z.string() })) }),
});

/** What a running cache has noticed of its machine in the last minutes; empty if no cache runs. */
export async function runningProblems({
  admin,
  adminToken,
}: Pick<Settings, "admin" | "adminToken">): Promise<Finding[]> {
  const url = urlOf({ host: dialableHost(admin.host), port: admin.port }, "http");
  const headers = adminToken === undefined ? {} : { authorization: `Bearer ${adminToken}` };
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  let status: unknown;
  try {
    const response = await fetch(`${url}/api/v1/status`, { headers, signal, redirect: "manual" });
    status = await response.json();
  } catch {
    return [];
  }
  const problems = statusSchema.safeParse(status).data?.machine.problems ?? [];
  const advice = "see docs/how-to/troubleshoot.md, “Problems of the cache's machine”";
  return problems.map(({ kind, text }) =>
    reporter("machine", kind)("problem", `the running cache says: ${text}`, advice),
  );
}
