import type { CacheClient, ServedRecord } from "./cache-client.ts";
import { CacheFault } from "./cache-client.ts";
import type { NodeImage, Runtime } from "./runtime.ts";
import { RuntimeFault } from "./runtime.ts";

export interface ProbeResult {
  readonly namespace: string;
  /** The image that was pulled; absent where none was known. */
  readonly reference?: string;
  /**
   * proven: the runtime pulled it and the cache says that it served it. missed: it was pulled and the
   * cache was not asked. failed: nothing could be pulled, or the cache could not serve it. unknown: no
   * image of this namespace is known here.
   */
  readonly outcome: "proven" | "missed" | "failed" | "unknown";
  readonly detail: string;
}

/** Small and public, for namespaces of which the node has no image yet. */
const KNOWN_IMAGES: Readonly<Record<string, string>> = {
  "docker.io": "docker.io/library/hello-world:latest",
  "ghcr.io": "ghcr.io/containerd/busybox:1.36",
  "quay.io": "quay.io/prometheus/busybox:latest",
  "registry.k8s.io": "registry.k8s.io/pause:3.10",
};

const PULL_MS = 90_000;
const CANDIDATES = 3;

interface Candidate {
  readonly reference: string;
  readonly origin: "asked" | "present" | "known";
}

/**
 * Pulls an image through the runtime and asks the cache whether it was served from there. An image
 * that the node has is asked for by its digest, which changes nothing on the node; any other goes
 * again.
 */
export async function probe(
  runtime: Runtime,
  cache: CacheClient,
  namespace: string,
  asked: readonly string[],
): Promise<ProbeResult> {
  const candidates = candidatesFor(namespace, await runtime.images.list(), asked);
  let last: ProbeResult = {
    namespace,
    outcome: "unknown",
    detail: "no image of this registry is on the node: name one with --probe",
  };
  for (const candidate of candidates) {
    last = await attempt(runtime, cache, namespace, candidate);
    if (last.outcome !== "failed") return last;
  }
  return last;
}

async function attempt(
  runtime: Runtime,
  cache: CacheClient,
  namespace: string,
  { reference, origin }: Candidate,
): Promise<ProbeResult> {
  const before = new Set((await cache.served()).map((record) => JSON.stringify(record)));
  const about = { namespace, reference };
  let failure: string | undefined;
  try {
    await runtime.images.pull(reference, PULL_MS);
  } catch (error) {
    if (!(error instanceof RuntimeFault)) throw error;
    failure = error.message;
  }
  const records = await recordsOf(
    cache,
    before,
    namespace,
    repositoryOf(reference),
    failure === undefined,
  );
  if (failure === undefined && origin !== "present")
    await runtime.images.remove(reference).catch(() => {});
  const good = records.filter((record) => record.status >= 200 && record.status < 300);
  const [first] = good;
  if (failure === undefined && first) {
    const what = good.map((record) => record.kind);
    const detail = `${good.length} request${good.length === 1 ? "" : "s"} served (${[...new Set(what)].join(", ")})`;
    return { ...about, outcome: "proven", detail };
  }
  const statuses = [...new Set(records.map((record) => record.status))].join(", ");
  if (failure !== undefined) {
    const seen = records.length > 0 ? `; the cache was asked and answered ${statuses}` : "";
    return { ...about, outcome: "failed", detail: `${failure}${seen}` };
  }
  if (records.length > 0) {
    return { ...about, outcome: "failed", detail: `the cache was asked and answered ${statuses}` };
  }
  return { ...about, outcome: "missed", detail: "it was pulled, and the cache was not asked" };
}

/** What the cache served of a repository since; a record may come a blink after its answer. */
async function recordsOf(
  cache: CacheClient,
  before: ReadonlySet<string>,
  namespace: string,
  repository: string,
  patient: boolean,
): Promise<ServedRecord[]> {
  const deadline = Date.now() + (patient ? 2_000 : 0);
  for (;;) {
    const found = (await cache.served()).filter(
      (record) =>
        !before.has(JSON.stringify(record)) &&
        (namespace === "_default" || record.namespace === namespace) &&
        record.repository === repository,
    );
    if (found.length > 0 || Date.now() >= deadline) return found;
    await Bun.sleep(100);
  }
}

function candidatesFor(
  namespace: string,
  images: readonly NodeImage[],
  asked: readonly string[],
): Candidate[] {
  const wanted = asked.filter((reference) => registryOf(reference) === namespace);
  if (wanted.length > 0) return wanted.map((reference) => ({ reference, origin: "asked" }));
  const present = images
    .flatMap((image) => image.digests)
    .filter((it) => registryOf(it) === namespace);
  const known = KNOWN_IMAGES[namespace];
  return [
    ...present.slice(0, CANDIDATES).map((reference) => ({ reference, origin: "present" as const })),
    ...(known === undefined ? [] : [{ reference: known, origin: "known" as const }]),
  ];
}

/** The registry of an image's name, as containerd reads it. */
export function registryOf(reference: string): string {
  const [first = "", ...rest] = reference.split("/");
  if (rest.length === 0 || !/[.:]|^localhost$/.test(first)) return "docker.io";
  return first === "index.docker.io" || first === "registry-1.docker.io" ? "docker.io" : first;
}

function repositoryOf(reference: string): string {
  const bare = reference.replace(/@.*$/, "").replace(/:[^:/]*$/, "");
  const [first = "", ...rest] = bare.split("/");
  const path = rest.length > 0 && /[.:]|^localhost$/.test(first) ? rest.join("/") : bare;
  return registryOf(reference) === "docker.io" && !path.includes("/") ? `library/${path}` : path;
}

/** A cache that cannot be asked proves nothing. */
export function asFailure(namespace: string, error: unknown): ProbeResult {
  if (!(error instanceof CacheFault || error instanceof RuntimeFault)) throw error;
  return { namespace, outcome: "failed", detail: error.message };
}
