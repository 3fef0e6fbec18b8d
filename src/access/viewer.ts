import type { ProcessKey } from "./process-key.ts";

/**
 * Names whoever sends a request, from what it presents; `undefined` if that is nothing. What one request of
 * a name may see, the next one may.
 */
export function viewerOf(key: ProcessKey, headers: Headers): string | undefined {
  const authorization = headers.get("authorization");
  return authorization === null ? undefined : key.quickName(authorization);
}
