import type { CacheClient, RefusedRecord, ServedRecord } from "../cache-client.ts";
import { CacheFault } from "../cache-client.ts";
import type { NodeImage, Runtime } from "../runtime.ts";
import { RuntimeFault } from "../runtime.ts";

export interface ProbeResult {
  readonly namespace: string;
  /** The image that was pulled. Absent if none was known. */
  readonly reference?: string;
  /**
   * proven: the runtime pulled the image and the cache recorded that it served it. unproven: there is no
   * image to prove it with, as far as is known. bypassed: the image was pulled without any request to the
   * cache. failed: nothing could be pulled, or the cache could not serve what it has to.
   */
  readonly outcome: "proven" | "unproven" | "bypassed" | "failed";
  readonly detail: string;
}

/** Images to try, besides those that are found. */
export interface ProbeImages {
  /** Those that the operator named. They replace all other candidates of their registries. */
  readonly requested: readonly string[];
  /** The image that proved a registry before, which is tried first. */
  readonly proofs: Readonly<Record<string, string>>;
}

/** Small public images, for namespaces of which neither the node nor the cache has an image yet. */
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
/** The name that images have for this machine's architecture. */
const PLATFORM = `linux/${process.arch === "x64" ? "amd64" : process.arch}`;

/** The result of one pull, and whether the cache refused it for what it was asked. */
interface Attempt {
  readonly result: ProbeResult;
  readonly isRefused: boolean;
}

/**
 * Pulls an image through the runtime and checks with the cache that it served the pull. An image that
 * is present on the node is pulled by digest, which changes nothing; an image that was not is removed
 * again.
 *
 * Which images a private, a mirrored or an air-gapped cache can serve is not known. So one that nobody
 * asked for proves nothing if the cache refuses it.
 *
 * @throws CacheFault, RuntimeFault
 */
export async function probe(
  runtime: Runtime,
  cache: CacheClient,
  namespace: string,
  { requested, proofs }: ProbeImages,
): Promise<ProbeResult> {
  const images = await runtime.images.list();
  const own = requested.filter((reference) => registryOf(reference) === namespace);
  const candidates =
    own.length > 0 ? own : await found(runtime, images, cache, namespace, proofs[namespace]);
  const present = new Set(
    images.flatMap((image) => [...image.tags, ...image.digests].map(qualified)),
  );
  let last: ProbeResult = {
    namespace,
    outcome: "unproven",
    detail: "no image of it is known here or at the cache: name one with --probe",
  };
  for (const candidate of candidates) {
    const isPresent = present.has(qualified(candidate));
    const { result, isRefused } = await attempt(runtime, cache, namespace, candidate, isPresent);
    if (result.outcome === "proven" || result.outcome === "bypassed") return result;
    const isGuess = own.length === 0;
    // A failure of the wiring itself outweighs that the next image is one that the cache refuses.
    if (isGuess && isRefused && last.outcome === "failed") continue;
    last = isGuess && isRefused ? { ...result, outcome: "unproven" } : result;
  }
  return last.reference === undefined ? last : { ...last, detail: withAdvice(last.detail) };
}

function withAdvice(detail: string): string {
  return `${detail}; if the cache cannot serve this image, name one that it can with --probe`;
}

async function found(
  runtime: Runtime,
  images: readonly NodeImage[],
  cache: CacheClient,
  namespace: string,
  proof: string | undefined,
): Promise<string[]> {
  // A runtime that does not ask about an image that it has would prove nothing with it.
  const stored = runtime.images.asksForStored ? images : [];
  const present = stored
    .flatMap((image) => image.digests)
    .filter((it) => registryOf(it) === namespace)
    .slice(0, PRESENT_CANDIDATES);
  const offered = await cache.offered(namespace, PLATFORM);
  const candidates = [
    proof && withoutTag(proof, stored),
    ...present,
    offered,
    WELL_KNOWN_IMAGES[namespace],
  ];
  return [...new Set(candidates.filter((it) => it !== undefined))];
}

/** An image that the node has by now is pulled by its digest: a pull of the tag could replace it. */
function withoutTag(reference: string, images: readonly NodeImage[]): string {
  const held = images.find(({ tags }) => tags.map(qualified).includes(qualified(reference)));
  const isOfRepository = (it: string): boolean =>
    registryOf(it) === registryOf(reference) && repositoryOf(it) === repositoryOf(reference);
  return held?.digests.find(isOfRepository) ?? reference;
}

async function attempt(
  runtime: Runtime,
  cache: CacheClient,
  namespace: string,
  reference: string,
  isPresent: boolean,
): Promise<Attempt> {
  const before = await cache.recent();
  const subject = { namespace, reference };
  // In full, since Podman and CRI-O resolve no short names.
  const image = qualified(reference);
  let failure: string | undefined;
  try {
    await runtime.images.pull(image, PULL_MS);
  } catch (error) {
    if (!(error instanceof RuntimeFault)) throw error;
    failure = error.message;
  }
  const { served, refused } = await newRecords(
    cache,
    [...before.served, ...before.refused],
    namespace,
    repositoryOf(reference),
    failure === undefined ? RECORD_MS : 0,
  );
  if (failure === undefined && !isPresent) await runtime.images.remove(image).catch(() => {});
  if (failure === undefined && served.length > 0) {
    const kinds = [...new Set(served.map((record) => record.kind))].join(", ");
    const requests = `${served.length} request${served.length === 1 ? "" : "s"}`;
    const detail = `${requests} served (${kinds})`;
    return { result: { ...subject, outcome: "proven", detail }, isRefused: false };
  }
  const refusal = refused.at(-1);
  const answer = refusal && answerText(refusal);
  if (failure === undefined && answer === undefined) {
    const detail = "the image was pulled, but the cache received no request";
    return { result: { ...subject, outcome: "bypassed", detail }, isRefused: false };
  }
  const asked =
    served.length > 0
      ? `the cache served ${served.length} of its requests`
      : "the cache has served nothing of it";
  // What the cache says is the reason; the runtime's text has mostly that of the registry behind it.
  const detail = answer ?? `${asked}, and ${runtime.title} says: ${failure ?? ""}`;
  return {
    result: { ...subject, outcome: "failed", detail },
    isRefused: refusal !== undefined && isAboutImage(refusal),
  };
}

/** `the cache answered 404 MANIFEST_UNKNOWN: there is no manifest …` */
function answerText({ status, code, message }: RefusedRecord): string {
  return `the cache answered ${status} ${code}: ${message}`;
}

/**
 * Whether the cache refused what it was asked for: it is not allowed or does not exist, or its registry
 * does not give it. Otherwise something is wrong with the cache itself.
 */
function isAboutImage({ status, code }: RefusedRecord): boolean {
  return ![500, 503].includes(status) || code === "TOOMANYREQUESTS";
}

/** The cache's records of a repository that are not in `before`. Waits up to `waitMs` for the first. */
async function newRecords(
  cache: CacheClient,
  before: readonly (ServedRecord | RefusedRecord)[],
  namespace: string,
  repository: string,
  waitMs: number,
): Promise<{ served: ServedRecord[]; refused: RefusedRecord[] }> {
  const deadline = Date.now() + waitMs;
  const known = new Set(before.map((record) => JSON.stringify(record)));
  const isNew = (record: ServedRecord | RefusedRecord): boolean =>
    !known.has(JSON.stringify(record)) &&
    (namespace === "_default" || record.namespace === namespace) &&
    record.repository === repository;
  for (;;) {
    const recent = await cache.recent();
    const served = recent.served.filter(isNew);
    const refused = recent.refused.filter(isNew);
    if (served.length + refused.length > 0 || Date.now() >= deadline) return { served, refused };
    await Bun.sleep(100);
  }
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
