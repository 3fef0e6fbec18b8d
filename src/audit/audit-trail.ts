import { LRUCache } from "lru-cache";
import type { AuditedRequest, AuditedResult } from "./audited-request.ts";

/**
 * What came of a pull. `challenged`: it was asked for credentials, and sent none. `checked`: it was only asked
 * where a tag points. `refused`: policy, or the registry, does not allow it.
 */
export type AuditOutcome = "challenged" | "checked" | "pulled" | "not-found" | "refused" | "failed";

/** One line of the audit. */
export interface AuditLine {
  /** When the last request ended, and when the first one came: milliseconds since the epoch. */
  readonly at: number;
  readonly since: number;
  /** The same for all lines of a pull: one that pauses, or that downloads for long, has several. */
  readonly pull: string;
  readonly client: string;
  /** Who pulled, where that is known. */
  readonly principal: string | undefined;
  readonly agent: string;
  /** With the tag, also where it was asked for by digest, as far as the tag is known. */
  readonly image: string;
  readonly digest: string | undefined;
  readonly outcome: AuditOutcome;
  /** How the cache came by it: of several requests, that of which it has least. */
  readonly result: AuditedResult | undefined;
  readonly requests: number;
  readonly blobs: number;
  readonly bytes: number;
  /** Why it failed, or was refused. */
  readonly error: string | undefined;
  /** Why the tag is not what its registry says, if it is held. */
  readonly held: string | undefined;
}

/** A pull is over after so much silence, in milliseconds: runtimes unpack between two requests. */
const SILENCE_MS = 10_000;
/** How many pulls are followed at once. Of more, those with the longest silence have their lines early. */
const MAX_PULLS = 10_000;
const ENDED_EARLY = 1000;
/** Of how many manifests, and of how many clients' repositories, the tag is remembered. */
const MAX_TAGS = 20_000;

/** From what says least to what says most of a pull. */
const OUTCOMES: readonly AuditOutcome[] = [
  "challenged",
  "checked",
  "pulled",
  "not-found",
  "refused",
  "failed",
];
const RESULTS: readonly AuditedResult[] = [
  "hit",
  "revalidated",
  "collapsed",
  "miss",
  "bypass",
  "stale",
];

interface Image {
  readonly tag: string | undefined;
  readonly digest: string | undefined;
}

interface Pull {
  readonly id: string;
  readonly client: string;
  principal: string | undefined;
  /** The upstream and the repository. */
  readonly name: string;
  readonly tag: string | undefined;
  readonly agent: string;
  digest: string | undefined;
  /** The manifest of a platform, if the first one is an index. */
  child: string | undefined;
  endedAt: number;
  /** What its next line says. */
  since: number;
  outcome: AuditOutcome;
  result: AuditedResult | undefined;
  requests: number;
  blobs: number;
  bytes: number;
  error: string | undefined;
  held: string | undefined;
}

/**
 * Makes lines of requests: one for each pull of an image by a client, which takes several. Unlike what is shown
 * of pulls elsewhere, none is left out.
 */
export class AuditTrail {
  readonly #write: (line: AuditLine) => void;
  readonly #newId: () => string;
  /** Those with requests that no line tells yet. The one with the longest silence is first. */
  readonly #open = new Map<string, Pull>();
  /** The last pull of a principal at a client from a repository, by all three. */
  readonly #latest = new LRUCache<string, Pull>({ max: MAX_TAGS });
  /** By repository and digest. */
  readonly #tags = new LRUCache<string, string>({ max: MAX_TAGS });

  /** @param newId replaces what is random, in tests */
  constructor(write: (line: AuditLine) => void, newId: () => string = () => Bun.randomUUIDv7()) {
    this.#write = write;
    this.#newId = newId;
  }

  add(request: AuditedRequest): void {
    const pull = this.#pullOf(request);
    const outcome = outcomeOf(request);
    const { at, milliseconds, kind, bytes, result, error } = request;
    if (pull.requests === 0) pull.since = at - milliseconds;
    if (pull.requests === 0 || pull.outcome === "challenged") {
      pull.outcome = outcome;
      pull.error = undefined;
    } else if (OUTCOMES.indexOf(outcome) > OUTCOMES.indexOf(pull.outcome)) pull.outcome = outcome;
    pull.endedAt = Math.max(pull.endedAt, at);
    pull.requests += 1;
    pull.bytes += bytes;
    if (kind === "blob" && bytes > 0) pull.blobs += 1;
    if (result && (!pull.result || RESULTS.indexOf(result) > RESULTS.indexOf(pull.result))) {
      pull.result = result;
    }
    pull.error ??= error;
    pull.held = request.held ?? pull.held;
    // The end of the map is where the shortest silence is.
    this.#open.delete(pull.id);
    this.#open.set(pull.id, pull);
    if (this.#open.size > MAX_PULLS) this.#endOldest();
  }

  /** Writes the lines of the pulls that are over. */
  endSilent(now: number): void {
    for (const pull of this.#open.values()) {
      if (now - pull.endedAt < SILENCE_MS) return;
      this.#end(pull);
    }
  }

  /** Many at once: what was removed from a map's beginning costs each look at what is first. */
  #endOldest(): void {
    let left = ENDED_EARLY;
    for (const pull of this.#open.values()) {
      this.#end(pull);
      left -= 1;
      if (left === 0) return;
    }
  }

  /** Writes the lines of all pulls. */
  endAll(): void {
    for (const pull of this.#open.values()) this.#end(pull);
  }

  #pullOf(request: AuditedRequest): Pull {
    const { upstream, repository, kind, principal } = request;
    const name = `${upstream}/${repository}`;
    const key = keyOf(request);
    const latest = this.#latest.get(key);
    const image = kind === "blob" ? latest : this.#imageOf(name, request);
    const goesOn = latest && continues(latest, request, image);
    const pull =
      (goesOn ? latest : undefined) ??
      this.#challenged(request, image) ??
      this.#begin(request, name, image);
    pull.principal = principal;
    this.#latest.set(key, pull);
    if (kind !== "manifest" || image?.digest === undefined) return pull;
    pull.digest ??= image.digest;
    if (image.digest !== pull.digest) pull.child = image.digest;
    if (pull.tag !== undefined) this.#tags.set(`${name}@${image.digest}`, pull.tag);
    return pull;
  }

  /** What the client was asked to show who it is for: runtimes send credentials only then. */
  #challenged(request: AuditedRequest, image: Image | undefined): Pull | undefined {
    if (request.principal === undefined) return undefined;
    const key = keyOf({ ...request, principal: undefined });
    const pull = this.#latest.get(key);
    if (pull?.outcome !== "challenged" || !continues(pull, request, image)) return undefined;
    this.#latest.delete(key);
    return pull;
  }

  /** Of a manifest that is asked for by its digest, the tag is known if it was asked for by that before. */
  #imageOf(name: string, { reference, isTag, digest }: AuditedRequest): Image {
    if (isTag) return { tag: reference, digest };
    return { tag: this.#tags.get(`${name}@${reference}`), digest: reference };
  }

  #begin(
    { client, principal, agent, at, milliseconds }: AuditedRequest,
    name: string,
    { tag, digest }: Image = { tag: undefined, digest: undefined },
  ): Pull {
    return {
      id: this.#newId(),
      client,
      principal,
      name,
      tag,
      agent,
      digest,
      child: undefined,
      endedAt: at,
      since: at - milliseconds,
      outcome: "checked",
      result: undefined,
      requests: 0,
      blobs: 0,
      bytes: 0,
      error: undefined,
      held: undefined,
    };
  }

  #end(pull: Pull): void {
    const { id, client, principal, name, tag, agent, digest, endedAt, since } = pull;
    const { outcome, result, requests, blobs, bytes, error, held } = pull;
    const byDigest = digest === undefined ? name : `${name}@${digest}`;
    const image = tag === undefined ? byDigest : `${name}:${tag}`;
    const said = { outcome, result, requests, blobs, bytes, error, held };
    this.#open.delete(id);
    const by = { client, principal, agent };
    this.#write({ at: endedAt, since, pull: id, ...by, image, digest, ...said });
    Object.assign(pull, { result: undefined, requests: 0, blobs: 0, bytes: 0, error: undefined });
  }
}

function keyOf({ client, upstream, repository, principal }: AuditedRequest): string {
  return `${client} ${upstream}/${repository} ${principal ?? ""}`;
}

/** Whether a request is one of a pull. */
function continues(
  pull: Pull,
  { kind, at, milliseconds }: AuditedRequest,
  image: Image | undefined,
): boolean {
  if (at - milliseconds - pull.endedAt >= SILENCE_MS) return false;
  return kind === "blob" || (image !== undefined && belongs(image, pull));
}

/** A manifest that was named by no tag is the one of a platform, if the pull has none yet. */
function belongs({ tag, digest }: Image, pull: Pull): boolean {
  if (tag !== undefined) return tag === pull.tag;
  return digest === pull.digest || pull.child === undefined || pull.child === digest;
}

function outcomeOf({ status, isChallenged, isHead, error, bytes }: AuditedRequest): AuditOutcome {
  if (isChallenged) return "challenged";
  if (status === 404) return "not-found";
  if (status >= 500) return "failed";
  if (status >= 400) return "refused";
  if (error !== undefined) return "failed";
  return isHead || status === 304 || bytes === 0 ? "checked" : "pulled";
}
