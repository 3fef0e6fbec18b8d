import type { CacheClient } from "../cache-client.ts";
import { decodeText } from "../files/node-files.ts";
import type { ProbeImages, ProbeResult } from "./probe.ts";
import { failedProbe, probe } from "./probe.ts";
import type { Route } from "../runtime.ts";
import type { NodeContext } from "../node-context.ts";

/** The route of one namespace, and the result of a pull through it. */
export interface NamespaceProof {
  readonly namespace: string;
  readonly route: Route;
  /** Whether the cache is the first host that is tried. */
  readonly isCacheFirst: boolean;
  /** The registry that is tried after the cache: its HTTP status, or why it cannot be reached. */
  readonly upstream: {
    readonly url: string;
    readonly detail: string;
    readonly isHealthy: boolean;
  };
  readonly probe: ProbeResult;
}

/**
 * proven: the cache is first and has served a pull. unproven: the files say so, and there is no image to
 * prove it with. failed: anything else.
 */
export type ProofState = "proven" | "unproven" | "failed";

export function stateOf({ route, isCacheFirst, probe: result }: NamespaceProof): ProofState {
  if (!isCacheFirst || route.problems.length > 0) return "failed";
  return result.outcome === "bypassed" ? "failed" : result.outcome;
}

export interface VerifyOptions {
  readonly context: NodeContext;
  readonly cache: CacheClient;
  readonly namespaces: readonly string[];
  readonly probeImages: ProbeImages;
  /** Called with one line of progress at a time. */
  readonly report: (line: string) => void;
}

const UPSTREAM_MS = 10_000;

/**
 * Proves the current wiring by pulls. Changes no file.
 *
 * @throws RuntimeFault if the route cannot be determined, FilesFault
 */
export async function verify(options: VerifyOptions): Promise<NamespaceProof[]> {
  const { context, cache, namespaces, probeImages, report } = options;
  const proofs: NamespaceProof[] = [];
  for (const namespace of namespaces) {
    report(`${namespace}: pulling through ${context.runtime.title}`);
    const route = await context.runtime.route(context.files, namespace);
    const [upstream, result] = await Promise.all([
      checkUpstream(context, route),
      probe(context.runtime, cache, namespace, probeImages).catch((error: unknown) =>
        failedProbe(namespace, error),
      ),
    ]);
    const isCacheFirst = route.hosts[0] === cache.url;
    proofs.push({ namespace, route, isCacheFirst, upstream, probe: result });
  }
  return proofs;
}

/**
 * Sends `GET /v2/` to the registry from this node, as the runtime would do after the cache failed. Most
 * registries respond with 401, so every status below 500 counts as healthy.
 */
async function checkUpstream(
  context: NodeContext,
  route: Route,
): Promise<NamespaceProof["upstream"]> {
  const { server } = route;
  const ca = route.serverCa.flatMap((path) => {
    const state = context.files.read(path);
    return state ? [decodeText(state.bytes, path)] : [];
  });
  try {
    const response = await fetch(`${server}/v2/`, {
      redirect: "manual",
      signal: AbortSignal.timeout(UPSTREAM_MS),
      ...(ca.length > 0 ? { tls: { ca } } : {}),
    });
    await response.body?.cancel();
    const isHealthy = response.status < 500;
    return { url: server, detail: `responds with ${response.status}`, isHealthy };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { url: server, detail: `cannot be reached: ${reason}`, isHealthy: false };
  }
}
