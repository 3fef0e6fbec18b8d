import { z } from "zod";
import { Accept } from "../../oci/accept.ts";
import {
  type Digest,
  digestAlgorithm,
  digestHex,
  digestOf,
  parseDigest,
} from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { parseObject } from "../../oci/json-object.ts";
import { parseTag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import type { EvidenceBlobs } from "../lookup/evidence-blobs.ts";
import type { ManifestLookup } from "../lookup/manifest-lookup.ts";
import type { Referrers } from "../lookup/referrers.ts";
import { readDescriptors } from "../lookup/referrers-index.ts";
import type { StoredManifest, StreamingBlob } from "../results.ts";
import type { Upstream } from "../upstream.ts";
import type { VerdictsFirst } from "../verdicts-first.ts";
import { RefusedEvidence } from "./refused-evidence.ts";

/** The cache's own look-ups, so that what was found is here as well when the registry is not. */
export interface ArtifactLookups {
  readonly manifests: Pick<ManifestLookup, "get">;
  readonly evidence: Pick<EvidenceBlobs, "get">;
  readonly referrers: Pick<Referrers, "list">;
  readonly verdicts: Pick<VerdictsFirst, "run">;
}

/** An image in its repository. */
export interface ImagePlace {
  readonly upstream: Upstream;
  readonly repo: RepositoryRef;
  readonly digest: Digest;
}

/** A manifest with signatures or attestations, or where there is one. */
export interface Artifact {
  /** For people: its tag, or its digest. */
  readonly name: string;
  readonly digest: Digest;
  /** Absent: it has still to be fetched. */
  readonly manifest?: StoredManifest;
}

/** A layer with a signature, or several. */
export interface ArtifactLayer {
  readonly mediaType: string;
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
  readonly annotations: Readonly<Record<string, string>>;
}

const MAX_LAYERS = 64;
const MAX_LIST_BYTES = 8 * 1024 * 1024;
const MAX_MANIFEST_BYTES = 512 * 1024;
/** Provenance of a large build has some 300 KiB. */
const MAX_LAYER_BYTES = 2 * 1024 * 1024;

const BUNDLE = "application/vnd.dev.sigstore.bundle";
const OLD_ARTIFACTS = "application/vnd.dev.cosign.artifact.";
/** What registries say of artifacts whose manifest has a type that they do not know. */
const UNTYPED: ReadonlySet<string> = new Set(["", "application/vnd.oci.empty.v1+json"]);
const PREDICATE_ANNOTATION = "dev.sigstore.bundle.predicateType";

const ANY = new Accept(null);

const referrer = z.looseObject({
  digest: z.string(),
  artifactType: z.string().catch(""),
  annotations: z.record(z.string(), z.string()).catch({}),
});

const layerList = z.looseObject({
  layers: z.array(
    z.looseObject({
      mediaType: z.string(),
      digest: z.string(),
      size: z.int().nonnegative(),
      annotations: z.record(z.string(), z.string()).nullish(),
    }),
  ),
});

/** What a repository has for an image, by where it may be: each is asked for beside the others. */
export interface ArtifactListing {
  /** Each rejects with a `Fault` if the registry cannot be asked. */
  readonly places: readonly Promise<readonly Artifact[]>[];
  /**
   * Changes with the artifacts.
   *
   * @throws Fault
   */
  fingerprint(): Promise<string>;
}

/**
 * Looks for signatures and attestations where cosign puts them: in tags that are named after the digest, and among
 * what refers to it.
 *
 * @param wanted.predicates those of attestations that are of interest, and of signatures
 * @param wanted.suffixes of the tags that cosign 2 gives them
 */
export function listArtifacts(
  lookups: ArtifactLookups,
  place: ImagePlace,
  wanted: { readonly predicates: ReadonlySet<string>; readonly suffixes: readonly string[] },
): ArtifactListing {
  const places = [
    ...wanted.suffixes.map((suffix) => byTag(lookups, place, suffix)),
    listReferrers(lookups, place, wanted.predicates),
  ];
  // Nobody may look at one of them any more once another has all that is wanted.
  for (const found of places) found.catch(() => {});
  return {
    places,
    fingerprint: async () => {
      const all = (await Promise.all(places)).flat();
      return digestOf(Buffer.from(all.map(({ digest }) => digest).join(" ")));
    },
  };
}

async function byTag(
  lookups: ArtifactLookups,
  { upstream, repo, digest }: ImagePlace,
  suffix: string,
): Promise<Artifact[]> {
  const tag = parseTag(`${digestAlgorithm(digest)}-${digestHex(digest)}.${suffix}`);
  if (!tag) return [];
  try {
    const { manifest } = await lookups.manifests.get(upstream, repo, tag, ANY, "judge");
    return [{ name: tag, digest: manifest.digest, manifest }];
  } catch (error) {
    if (error instanceof Fault && error.detail.kind === "not-found") return [];
    throw error;
  }
}

async function listReferrers(
  { referrers }: ArtifactLookups,
  { upstream, repo, digest }: ImagePlace,
  predicates: ReadonlySet<string>,
): Promise<Artifact[]> {
  let whole: Blob;
  try {
    const { value } = await referrers.list(upstream, repo, digest, "judge");
    whole = value.whole;
  } catch (error) {
    if (error instanceof Fault && error.detail.kind === "not-found") return [];
    throw error;
  }
  if (whole.size > MAX_LIST_BYTES) return [];
  const certain: Artifact[] = [];
  const possible: Artifact[] = [];
  for (const descriptor of await readDescriptors(await whole.text())) {
    const { data } = referrer.safeParse(descriptor);
    const found = data && parseDigest(data.digest);
    if (!found) continue;
    const { artifactType, annotations } = data;
    const predicate = annotations[PREDICATE_ANNOTATION];
    if (predicate !== undefined && !predicates.has(predicate)) continue;
    const artifact = { name: found, digest: found };
    if (artifactType.startsWith(BUNDLE) || artifactType.startsWith(OLD_ARTIFACTS)) {
      certain.push(artifact);
    } else if (UNTYPED.has(artifactType)) possible.push(artifact);
  }
  return [...certain, ...possible];
}

/**
 * The layers of an artifact, as far as they may have signatures.
 *
 * @throws Fault if the registry cannot be asked
 * @throws RefusedEvidence
 */
export async function readLayers(
  { manifests }: ArtifactLookups,
  { upstream, repo }: ImagePlace,
  artifact: Artifact,
): Promise<ArtifactLayer[]> {
  const { bytes } =
    artifact.manifest ??
    (await manifests.get(upstream, repo, artifact.digest, ANY, "judge")).manifest;
  if (bytes.length > MAX_MANIFEST_BYTES) {
    throw new RefusedEvidence(
      `its manifest has ${bytes.length} bytes, more than ${MAX_MANIFEST_BYTES}`,
    );
  }
  const { data } = layerList.safeParse(parseObject(bytes));
  if (!data) throw new RefusedEvidence("its manifest has no layers");
  const layers = data.layers.flatMap(({ digest: text, annotations, ...layer }) => {
    const digest = parseDigest(text);
    return digest ? [{ ...layer, digest, annotations: annotations ?? {} }] : [];
  });
  if (layers.length === 0) throw new RefusedEvidence("its manifest has no layers");
  if (layers.length > MAX_LAYERS) {
    throw new RefusedEvidence(`its manifest has ${layers.length} layers, more than ${MAX_LAYERS}`);
  }
  const large = layers.find(({ size }) => size > MAX_LAYER_BYTES);
  if (large) throw tooLarge(large.size);
  return layers;
}

/**
 * @throws Fault if the registry cannot be asked
 * @throws RefusedEvidence
 */
export async function readLayer(
  { evidence }: ArtifactLookups,
  { upstream, repo }: ImagePlace,
  { digest, size }: ArtifactLayer,
): Promise<Buffer<ArrayBuffer>> {
  const result = await evidence.get(upstream, repo, digest, size);
  if (result.kind === "streaming") return readStream(result);
  if (result.blob.size > MAX_LAYER_BYTES) throw tooLarge(result.blob.size);
  return Buffer.from(await result.blob.bytes.arrayBuffer());
}

/** Of a repository that is not stored. @throws Fault; RefusedEvidence */
async function readStream(blob: StreamingBlob): Promise<Buffer<ArrayBuffer>> {
  const { size, digest } = blob;
  if (size !== undefined && size > MAX_LAYER_BYTES) throw tooLarge(size);
  const { promise: givenUp, reject } = Promise.withResolvers<never>();
  const reader = blob.body({ giveUp: reject }).getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), givenUp]);
      if (done) break;
      chunks.push(value);
      length += value.length;
      if (length > MAX_LAYER_BYTES) throw tooLarge(undefined);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
  const bytes = Buffer.concat(chunks);
  if (digestOf(bytes, digestAlgorithm(digest)) !== digest) {
    throw new RefusedEvidence("its layer has another digest");
  }
  return bytes;
}

function tooLarge(size: number | undefined): RefusedEvidence {
  const has = size === undefined ? "more bytes" : `${size} bytes, more`;
  return new RefusedEvidence(`its layer has ${has} than ${MAX_LAYER_BYTES}`);
}
