import {
  type Digest,
  digestAlgorithm,
  digestOf,
  looksLikeDigest,
  parseDigest,
} from "../oci/digest.ts";
import { Fault, isAnswer } from "../oci/fault.ts";
import { type Manifest, MAX_MANIFEST_BYTES } from "../oci/manifest.ts";
import { bareMediaType, MANIFEST_ACCEPT } from "../oci/media-types.ts";
import type { RepositoryName, Tag } from "../oci/names.ts";
import type { Failover, ResponseHandler } from "./failover.ts";
import { bodyLength, isEncoded } from "./transport/header-checks.ts";

/** The response to a HEAD of a manifest. Nothing in it is verified: that takes the bytes. */
export interface ManifestHead {
  /** Absent if the registry sends none, or one that cannot be parsed. */
  readonly digest?: Digest;
  /** Without parameters, in lower case; empty if the registry sent none. */
  readonly mediaType: string;
  /** In bytes. */
  readonly size?: number;
}

/** A manifest's bytes, the digest computed from them, and their parsed content. */
export interface FetchedManifest {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly manifest: Manifest;
  /** Computed with the algorithm of the reference or of the registry's Docker-Content-Digest. */
  readonly digest: Digest;
  /** The host of the registry or mirror that sent it. */
  readonly source: string;
}

/**
 * distribution-spec v1.1.1, "Checking if Content Exists in the Registry". `undefined` if the HEAD fails in
 * any way that says nothing of GET: quirks.ts lists what registries do.
 */
export async function headManifest(
  failover: Failover,
  repository: RepositoryName,
  reference: Tag | Digest,
  signal: AbortSignal | undefined,
): Promise<ManifestHead | undefined> {
  try {
    return await send("HEAD", failover, repository, reference, signal, async ({ headers }) => {
      const digest = claimedDigest(headers);
      if (digest && looksLikeDigest(reference) && digest !== reference) {
        throw failover.invalidResponse(
          `the registry named the digest ${digest} where ${reference} was requested`,
        );
      }
      // The length may be that of encoded bytes.
      const size = isEncoded(headers) ? undefined : bodyLength(headers);
      return {
        mediaType: bareMediaType(headers.get("content-type")),
        ...(digest ? { digest } : {}),
        ...(size === undefined ? {} : { size }),
      };
    });
  } catch (error) {
    if (error instanceof Fault && mayGetSucceed(error)) return undefined;
    throw error;
  }
}

/** Not after a rate limit or an overload, which a GET would only add to. */
function mayGetSucceed(fault: Fault): boolean {
  const { kind } = fault.detail;
  return isAnswer(fault) || kind === "upstream-unreachable" || kind === "upstream-timeout";
}

/** distribution-spec v1.1.1, "Pulling manifests". */
export function getManifest(
  failover: Failover,
  repository: RepositoryName,
  reference: Tag | Digest,
  signal: AbortSignal | undefined,
): Promise<FetchedManifest> {
  return send("GET", failover, repository, reference, signal, async (response) => {
    const bytes = await failover.read(response, "a manifest", MAX_MANIFEST_BYTES);
    const claimed = parseDigest(reference) ?? claimedDigest(response.headers);
    const digest = digestOf(bytes, claimed && digestAlgorithm(claimed));
    if (claimed && digest !== claimed) {
      throw failover.invalidResponse(`a manifest that should be ${claimed} is ${digest}`);
    }
    const manifest = await failover.parseManifest(response, bytes);
    return { bytes, manifest, digest, source: response.url.host };
  });
}

function send<Value>(
  method: "GET" | "HEAD",
  failover: Failover,
  repository: RepositoryName,
  reference: Tag | Digest,
  signal: AbortSignal | undefined,
  handle: ResponseHandler<Value>,
): Promise<Value> {
  const separator = looksLikeDigest(reference) ? "@" : ":";
  return failover.send(
    { resource: "manifest", name: `${repository}${separator}${reference}` },
    {
      kind: "manifest",
      permit: "metadata",
      method,
      path: `manifests/${reference}`,
      repository,
      headers: { accept: MANIFEST_ACCEPT },
      signal,
    },
    handle,
  );
}

/** Docker-Content-Digest; `undefined` if it is missing or of an algorithm that is not supported. */
function claimedDigest(headers: Headers): Digest | undefined {
  return parseDigest(headers.get("docker-content-digest")?.trim() ?? "");
}
