import { type Digest, parseDigest } from "../../oci/digest.ts";
import {
  parseRepositoryName,
  parseUpstreamName,
  type RepositoryName,
  type UpstreamName,
} from "../../oci/names.ts";

/**
 * What replicas ask each other, over HTTP/1.1, each request and each answer signed (see `Signatures`):
 *
 *     GET /entrepot/v1/replica/ping
 *     GET /entrepot/v1/replica/blobs/<digest>?upstream=&repository=[&size=][&here=1][&silent=]    Range: bytes=N-
 *     GET /entrepot/v1/replica/manifests/<digest>?upstream=&repository=[&here=1][&silent=]
 *
 * A place is named, and not a digest alone, so that what may be seen there is checked. `here`: only what is here
 * or is being downloaded, which is answered at once; otherwise it is downloaded. `silent`, once for each: a member
 * for which whoever asks has just waited in vain: it is not waited for again.
 *
 * - 200, 206: of a ping, the members that the replica is configured with, one a line; the manifest; the blob from N on, which may still be growing
 * - 202: being downloaded, without a byte at N yet: ask again
 * - 404: not here, or what the upstream said; 502, 503: what the upstream said
 * - 409: this replica asks, or follows, the one that Entrepot-Follows names. Whoever asks goes on elsewhere: no
 *   replica follows one that follows, so nobody waits in a circle, whoever is believed to be alive
 * - 401: not signed, or with another secret, or by a clock that is too far away
 */
export const ROOT = "/entrepot/v1/replica";

export const HEADERS = {
  /** `<id> <instance>` of who asks, and of who answers. */
  replica: "entrepot-replica",
  proof: "entrepot-proof",
  answeredAgo: "entrepot-answered-ago",
  follows: "entrepot-follows",
  /** Why a request was refused: see `REFUSALS`. */
  refusal: "entrepot-refusal",
} as const;

/** What a replica asks another one about. */
export interface Question {
  readonly what: "blobs" | "manifests";
  readonly upstream: UpstreamName;
  readonly repository: RepositoryName;
  readonly digest: Digest;
  /** Of a blob, in bytes, if a manifest names it. */
  readonly size?: number | undefined;
  /** Only what is there: nothing is downloaded for it. */
  readonly isHere: boolean;
  /** The ids of members that are not to be asked for it. */
  readonly silent: readonly string[];
}

/** More than one download asks. */
const MAX_SILENT = 8;

/** Path and query. */
export function targetOf(question: Question): string {
  const { what, upstream, repository, digest, size, isHere, silent } = question;
  const query = new URLSearchParams({ upstream, repository });
  if (size !== undefined) query.set("size", String(size));
  if (isHere) query.set("here", "1");
  for (const id of silent.slice(0, MAX_SILENT)) query.append("silent", id);
  return `${ROOT}/${what}/${digest}?${query.toString()}`;
}

export function parseQuestion(url: URL): Question | undefined {
  const [, what, text = ""] =
    /^\/(blobs|manifests)\/([^/]+)$/.exec(url.pathname.slice(ROOT.length)) ?? [];
  const upstream = parseUpstreamName(url.searchParams.get("upstream") ?? "");
  const repository = parseRepositoryName(url.searchParams.get("repository") ?? "");
  const digest = parseDigest(text);
  if (!url.pathname.startsWith(`${ROOT}/`) || !upstream || !repository || !digest) return undefined;
  const size = url.searchParams.get("size");
  if (size !== null && !/^\d{1,15}$/.test(size)) return undefined;
  return {
    what: what === "manifests" ? what : "blobs",
    upstream,
    repository,
    digest,
    isHere: url.searchParams.get("here") === "1",
    silent: url.searchParams.getAll("silent").slice(0, MAX_SILENT),
    ...(size === null ? {} : { size: Number(size) }),
  };
}

/** More than 256 members have. */
export const MAX_MEMBERS_BYTES = 128 * 1024;

/** Of the body of a ping: `undefined` if the replica is not configured with members, or of a version that does not say. */
export function parseMembers(body: Uint8Array | undefined): readonly string[] | undefined {
  if (!body || body.byteLength === 0) return undefined;
  const lines = new TextDecoder().decode(body).split("\n");
  return lines.flatMap((line) => URL.parse(line)?.origin ?? []).slice(0, 256);
}

/** The parts of an answer that its proof covers. */
export function provenParts(status: number, headers: Headers): (string | number)[] {
  const names = [
    HEADERS.replica,
    HEADERS.answeredAgo,
    HEADERS.follows,
    HEADERS.refusal,
    "content-range",
  ];
  return [status, ...names.map((name) => headers.get(name) ?? "")];
}
