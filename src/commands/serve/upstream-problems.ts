import type { Status } from "../../api/status.ts";

type UpstreamStatus = Status["upstreams"][number];

/**
 * While the circuit of an address is open, older failures are not problems any more, in milliseconds. An
 * address that pulls need is retried every minute, so after an older failure nothing has needed it, and
 * it may work again.
 */
const MAX_FAILURE_AGE = 900_000;

/** The current problems of an upstream, and what to do about them. */
export function upstreamProblems(
  { name, state, addresses, credentials }: UpstreamStatus,
  now: number,
): string[] {
  const problems: string[] = [];
  if (state === "rate-limited") problems.push(`${name} is rate limiting this cache`);
  for (const { url, circuit, isMirror, reason = "it fails", failure, lastError } of addresses) {
    if (circuit === "closed") {
      const subject = isMirror ? `the mirror ${url} of ${name}` : name;
      if (failure) problems.push(`the last request to ${subject} failed: ${failure.message}`);
      continue;
    }
    if (lastError && lastError.at < now - MAX_FAILURE_AGE) continue;
    if (state === "unavailable" && !isMirror) {
      problems.unshift(`${name} is unavailable: ${reason}`);
      continue;
    }
    const subject = isMirror ? `the mirror ${url} of ${name}` : `the registry ${name} itself`;
    problems.push(`${subject} is unavailable: ${reason}`);
  }
  if (credentials.problem !== undefined) problems.push(credentials.problem);
  return problems;
}
