import type { Status } from "../status-schema.ts";

type UpstreamStatus = Status["upstreams"][number];

/**
 * In milliseconds. Who is wanted by pulls is tried every minute: of an older failure, nobody knows
 * whether it still holds.
 */
const OLD = 900_000;

/** What is wrong with an upstream now, and what to do. */
export function upstreamProblems(
  { name, state, addresses, credentials }: UpstreamStatus,
  now: number,
): string[] {
  const problems: string[] = [];
  if (state === "limited") problems.push(`${name} limits how often it is asked`);
  for (const { url, circuit, isMirror, reason = "it fails", lastError } of addresses) {
    if (circuit === "closed" || (lastError && lastError.at < now - OLD)) continue;
    if (state === "out" && !isMirror) {
      problems.unshift(`${name} is out: ${reason}`);
      continue;
    }
    const what = isMirror ? `the mirror ${url} of ${name}` : `${name} itself`;
    problems.push(`${what} is not asked: ${reason}`);
  }
  if (credentials.problem !== undefined) problems.push(credentials.problem);
  return problems;
}
