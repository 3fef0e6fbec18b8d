import type { CacheClient } from "./cache-client.ts";
import { decodeText } from "./files/node-files.ts";
import type { ProbeResult } from "./probe.ts";
import { asFailure, probe } from "./probe.ts";
import type { Route } from "./runtime.ts";
import type { NodeContext } from "./node-context.ts";

/** How one namespace is wired, and the proof of it. */
export interface NamespaceProof {
  readonly namespace: string;
  readonly route: Route;
  /** Whether the cache is asked before anything else. */
  readonly isCacheFirst: boolean;
  /** What answers where the cache does not: its HTTP status, or why it cannot be reached. */
  readonly upstream: { readonly url: string; readonly answer: string; readonly isWell: boolean };
  readonly probe: ProbeResult;
}

export function isProven(proof: NamespaceProof): boolean {
  const { route, isCacheFirst, probe: result } = proof;
  return isCacheFirst && route.problems.length === 0 && result.outcome === "proven";
}

export interface VerifyOptions {
  readonly context: NodeContext;
  readonly cache: CacheClient;
  readonly namespaces: readonly string[];
  readonly probes: readonly string[];
  /** Told what is being done. */
  readonly say: (line: string) => void;
}

const UPSTREAM_MS = 10_000;

/** Proves the wiring as it stands; pulls images, and changes no file. */
export async function verify(options: VerifyOptions): Promise<NamespaceProof[]> {
  const { context, cache, namespaces, probes, say } = options;
  const proofs: NamespaceProof[] = [];
  for (const namespace of namespaces) {
    say(`${namespace}: pulling through containerd`);
    const route = await context.runtime.route(context.files, namespace);
    const [upstream, result] = await Promise.all([
      askUpstream(context, route),
      probe(context.runtime, cache, namespace, probes).catch((error: unknown) =>
        asFailure(namespace, error),
      ),
    ]);
    const isCacheFirst = route.hosts[0] === cache.url;
    proofs.push({ namespace, route, isCacheFirst, upstream, probe: result });
  }
  return proofs;
}

/** Asked from here as containerd would be after the cache; 401 is how most registries answer. */
async function askUpstream(
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
    const isWell = response.status < 500;
    return { url: server, answer: `answers ${response.status}`, isWell };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { url: server, answer: `cannot be reached: ${why}`, isWell: false };
  }
}
