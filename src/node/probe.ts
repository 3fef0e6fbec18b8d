import type { CacheClient, ServedRecord } from "./cache-client.ts";
import { CacheFault } from "./cache-client.ts";
import type { NodeImage, Runtime } from "./runtime.ts";
import { RuntimeFault } from "./runtime.ts";

export interface ProbeResult {
  readonly namespace: string;
  /** The image that was pulled. Absent if none was known. */
  readonly reference?: string;
  /**
   * proven: the runtime pulled the image and the cache recorded that it served it. bypassed: the image
   * was pulled without any request to the cache. failed: nothing could be pulled, or the cache could
   * not serve it. unknown: no image of this namespace is known.
   */
  readonly outcome: "proven" | "bypassed" | "failed" | "unknown";
  readonly detail: string;
}

/** Small public images, for namespaces of which the node has no image yet. */
const WELL_KNOWN_IMAGES: Readonly<Record<string, string>> = {
  "docker.io": "docker.io/library/hello-world:latest",
  "ghcr.io": "ghcr.io/containerd/busybox:1.36",
  "quay.io": "quay.io/prometheus/busybox:latest",
  "registry.k8s.io": "registry.k8s.io/pause:3.10",
};

const PULL_MS = 90_000;
/** How many of the images on the node are tried. */
const PRESENT_CANDIDATES = 3;
/** How long to wait for the cache's record of a pull, which may appear shortly after the response. */
const RECORD_MS = 2_000;

/**
 * Pulls an image through the runtime and checks with the cache that it served the pull. An image that
 * is present on the node is pulled by digest, which changes nothing; an image that was not is removed
 * again.
 *
 * @param requested references that the operator named; they replace all other candidates
 * @throws CacheFault, RuntimeFault
 */
export async function probe(
  runtime: Runtime,
  cache: CacheClient,
  namespace: string,
  requested: readonly string[],
): Promise<ProbeResult> {
  const images = await runtime.images.list();
  // A pull of a tag could replace the image that the node has by a newer one.
  const stored = runtime.images.asksForStored ? images : [];
  const candidates = candidatesFor(namespace, stored, requested);
  const present = new Set(
    images.flatMap((image) => [...image.tags, ...image.digests].map(qualified)),
  );
  let last: ProbeResult = {
    namespace,
    outcome: "unknown",
    detail: runtime.images.asksForStored
      ? "the node has no image of this registry: name one with --probe"
      : "no image of this registry is known: name one with --probe",
  };
  for (const candidate of candidates) {
    const isPresent = present.has(qualified(candidate));
    last = await attempt(runtime, cache, namespace, candidate, isPresent);
    if (last.outcome !== "failed") return last;
  }
  return last;
}

async function attempt(
  runtime: Runtime,
  cache: CacheClient,
  namespace: string,
  reference: string,
  isPresent: boolean,
): Promise<ProbeResult> {
  const before = new Set((await cache.served()).map((record) => JSON.stringify(record)));
  const subject = { namespace, reference };
  let failure: string | undefined;
  try {
    await runtime.images.pull(reference, PULL_MS);
  } catch (error) {
    if (!(error instanceof RuntimeFault)) throw error;
    failure = error.message;
  }
  const records = await newRecords(
    cache,
    before,
    namespace,
    repositoryOf(reference),
    failure === undefined ? RECORD_MS : 0,
  );
  if (failure === undefined && !isPresent) await runtime.images.remove(reference).catch(() => {});
  const successful = records.filter((record) => record.status >= 200 && record.status < 300);
  if (failure === undefined && successful.length > 0) {
    const kinds = [...new Set(successful.map((record) => record.kind))].join(", ");
    const requests = `${successful.length} request${successful.length === 1 ? "" : "s"}`;
    return { ...subject, outcome: "proven", detail: `${requests} served (${kinds})` };
  }
  const statuses = [...new Set(records.map((record) => record.status))].join(", ");
  const responses = `the cache received requests and responded with ${statuses}`;
  if (failure !== undefined) {
    const detail = records.length > 0 ? `${failure}; ${responses}` : failure;
    return { ...subject, outcome: "failed", detail };
  }
  if (records.length > 0) return { ...subject, outcome: "failed", detail: responses };
  const detail = "the image was pulled, but the cache received no request";
  return { ...subject, outcome: "bypassed", detail };
}

/** The cache's records of a repository that are not in `before`. Waits up to `waitMs` for the first. */
async function newRecords(
  cache: CacheClient,
  before: ReadonlySet<string>,
  namespace: string,
  repository: string,
  waitMs: number,
): Promise<ServedRecord[]> {
  const deadline = Date.now() + waitMs;
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
  requested: readonly string[],
): string[] {
  const own = requested.filter((reference) => registryOf(reference) === namespace);
  if (own.length > 0) return own;
  const present = images
    .flatMap((image) => image.digests)
    .filter((it) => registryOf(it) === namespace);
  const wellKnown = WELL_KNOWN_IMAGES[namespace];
  return [...present.slice(0, PRESENT_CANDIDATES), ...(wellKnown === undefined ? [] : [wellKnown])];
}

/** A reference in full: `docker.io/library/alpine:3` for `alpine:3`, as Docker shows it. */
function qualified(reference: string): string {
  const suffix = /(?::[^:/@]*)?(?:@.*)?$/.exec(reference)?.[0] ?? "";
  return `${registryOf(reference)}/${repositoryOf(reference)}${suffix === "" ? ":latest" : suffix}`;
}

/** The registry of an image reference, as containerd normalizes it. */
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

/**
 * The result of a probe that could not be carried out.
 *
 * @throws `error` itself, unless it is a CacheFault or a RuntimeFault.
 */
export function failedProbe(namespace: string, error: unknown): ProbeResult {
  if (!(error instanceof CacheFault || error instanceof RuntimeFault)) throw error;
  return { namespace, outcome: "failed", detail: error.message };
}
