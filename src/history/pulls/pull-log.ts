import { LRUCache } from "lru-cache";
import { growingTo } from "../../process/growing-to.ts";
import type { Pull, PullResult } from "../../api/pulls.ts";
import { type Digest, looksLikeDigest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import { runtimeText } from "../nodes/user-agent.ts";
import type { CountedTagPulls } from "./counted-tag-pulls.ts";
import type { ImageClients } from "./image-clients.ts";
import type { ServedRequest } from "../served-request.ts";

/** A pull is over after so much silence, in milliseconds: runtimes unpack layers between two requests. */
const SILENCE_MS = 10_000;
/** How many pulls are shown, and how many may be under way. */
const MAX_SHOWN = 50;
const MAX_UNDER_WAY = 1000;
/** Of how many manifests it is remembered which tag they were asked for by. */
const MAX_TAGS = 10_000;
/** Reasons come from upstreams. */
const MAX_REASON = 300;

/** From what says least of a pull to what says most. */
const RESULTS: readonly PullResult[] = [
  "hit",
  "revalidated",
  "collapsed",
  "miss",
  "bypass",
  "stale",
  "refused",
];

interface Entry {
  readonly id: number;
  readonly client: string;
  readonly userAgent: string;
  readonly repo: RepositoryRef;
  readonly startedAt: number;
  tag: Tag | undefined;
  digest: Digest | undefined;
  result: PullResult;
  reason: string | undefined;
  requests: number;
  missed: number;
  bytes: number;
  endedAt: number;
  /** What it got for its tag at last, as it was counted. */
  counted: Digest | "held" | undefined;
}

export interface PullLogOptions {
  readonly clients: ImageClients;
  readonly tagPulls?: Pick<CountedTagPulls, "pulled">;
  /** A tag that points to a digest, as far as is stored: asked for pulls by digest alone. */
  readonly storedTag?: (repo: RepositoryRef, digest: Digest) => Promise<Tag | undefined>;
  /** Called with those that have begun or changed. */
  readonly onChange?: (pulls: readonly Pull[]) => void;
  /** The current time, in milliseconds of the epoch. */
  readonly now?: () => number;
}

/**
 * The last pulls, made of the requests of each client for each repository: a runtime asks for a tag, then for
 * manifests by digest, then for blobs.
 */
export class PullLog {
  readonly #options: PullLogOptions;
  readonly #now: () => number;
  /** By client and repository. */
  readonly #underWay = new LRUCache<string, Entry>(growingTo(MAX_UNDER_WAY));
  readonly #shown: Entry[] = [];
  readonly #tags = new LRUCache<string, Tag>(growingTo(MAX_TAGS));
  /** Images that are pulled by digest alone: a repository may have thousands of tags to look through. */
  readonly #untagged = new LRUCache<Digest, true>(growingTo(MAX_TAGS));
  #lastId = 0;

  constructor(options: PullLogOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** The newest first. */
  get latest(): readonly Pull[] {
    return this.#shown.map((entry) => this.#pullOf(entry)).toReversed();
  }

  /** The image that was pulled last of a repository, with its tag if that is known. */
  imageOf(repository: string): string | undefined {
    const entry = this.#shown.findLast(
      ({ repo }) => `${repo.upstream}/${repo.repository}` === repository,
    );
    return entry?.tag === undefined ? undefined : `${repository}:${entry.tag}`;
  }

  add(requests: readonly ServedRequest[]): void {
    const changed = new Set<Entry>();
    for (const request of requests) {
      const entry = this.#entryOf(request);
      if (entry) changed.add(count(entry, request));
    }
    if (changed.size === 0) return;
    this.#options.onChange?.([...changed].map((entry) => this.#pullOf(entry)));
  }

  /** The tag by which a manifest was asked for last, as far as that is known. */
  tagOf(repo: RepositoryRef, digest: Digest): Tag | undefined {
    return this.#tags.get(keyOf(repo, digest));
  }

  /** @returns undefined for a request that belongs to no pull */
  #entryOf(request: ServedRequest): Entry | undefined {
    const { repo, client, kind, reference, digest, at, milliseconds } = request;
    const isTag = kind === "manifest" && !looksLikeDigest(reference);
    // A manifest's reference is a tag, unless it looks like a digest.
    const tag = isTag ? (reference as Tag) : this.#tagKnown(request);
    const asked = isTag ? digest : (reference as Digest);
    if (isTag && digest !== undefined) this.#tags.set(keyOf(repo, digest), reference as Tag);
    const key = keyOf(repo, client);
    const startedAt = Math.round(at - milliseconds);
    const known = this.#begunBefore(startedAt, request, this.#underWay.get(key));
    if (known && startedAt - known.endedAt < SILENCE_MS && !isOther(known, request, tag)) {
      known.tag ??= tag;
      if (kind === "manifest") known.digest ??= asked;
      if (isTag) this.#countTag(known, request);
      return known;
    }
    const entry: Entry = {
      id: (this.#lastId += 1),
      client,
      userAgent: request.userAgent,
      repo,
      startedAt,
      tag,
      digest: kind === "manifest" ? asked : undefined,
      result: request.result,
      reason: undefined,
      requests: 0,
      missed: 0,
      bytes: 0,
      endedAt: startedAt,
      counted: undefined,
    };
    // Runtimes and tools look for tags beside the image: for signatures, for other platforms.
    if (request.result !== "refused") this.#underWay.set(key, entry);
    this.#shown.push(entry);
    if (this.#shown.length > MAX_SHOWN) this.#shown.shift();
    void this.#noteClient(entry, at);
    if (isTag) this.#countTag(entry, request);
    return entry;
  }

  /**
   * What a pull got for its tag, once for each digest. A runtime that knows the digest already asks by that: no rule
   * about the tag concerns it.
   */
  #countTag(entry: Entry, { repo, reference, digest, result, isHeld, at }: ServedRequest): void {
    const got = result === "refused" ? undefined : digest;
    if (got === undefined && !isHeld) return;
    const counted = got ?? "held";
    if (entry.counted === counted) return;
    entry.counted = counted;
    // It is asked for by tag.
    this.#options.tagPulls?.pulled(repo, reference as Tag, got, at);
  }

  /** Who pulled the image, by its tag: a node that has resolved it before asks by digest alone. */
  async #noteClient(entry: Entry, at: number): Promise<void> {
    const { repo, digest, client, result } = entry;
    if (entry.tag === undefined && digest !== undefined && !this.#untagged.has(digest)) {
      const tag = await this.#options.storedTag?.(repo, digest).catch(() => undefined);
      if (tag === undefined) this.#untagged.set(digest, true);
      else this.#tags.set(keyOf(repo, digest), tag);
      entry.tag ??= tag;
    }
    const image = entry.tag ?? digest;
    if (image === undefined || result === "refused") return;
    this.#options.clients.pulled(repo, image, client, at);
  }

  /** A large blob may have been asked for before the pull began that is under way when it ends. */
  #begunBefore(startedAt: number, of: ServedRequest, latest: Entry | undefined): Entry | undefined {
    if (!latest || startedAt >= latest.startedAt) return latest;
    const { client, userAgent } = of;
    const isSame = (entry: Entry): boolean =>
      entry.client === client && entry.userAgent === userAgent && isIn(entry.repo, of.repo);
    return (
      this.#shown.findLast(
        (entry) => isSame(entry) && entry.startedAt <= startedAt && entry.result !== "refused",
      ) ?? latest
    );
  }

  #tagKnown({ kind, repo, reference }: ServedRequest): Tag | undefined {
    return kind === "manifest" ? this.#tags.get(keyOf(repo, reference)) : undefined;
  }

  #pullOf(entry: Entry): Pull {
    const { id, client, repo, startedAt, endedAt, result, reason, requests, missed, bytes } = entry;
    const { digest, tag } = entry;
    const runtime = runtimeText(entry.userAgent);
    return {
      id,
      at: startedAt,
      client,
      ...(runtime === undefined ? {} : { runtime }),
      upstream: repo.upstream,
      image: imageText(repo, tag, digest),
      ...(digest === undefined ? {} : { digest }),
      result,
      ...(reason === undefined ? {} : { reason }),
      requests,
      missed,
      bytes,
      ms: Math.max(0, Math.round(endedAt - startedAt)),
      isDone: this.#now() - endedAt >= SILENCE_MS,
    };
  }
}

/** `docker.io/library/nginx:1.27`, by digest where no tag is known. */
function imageText(
  { upstream, repository }: RepositoryRef,
  tag: Tag | undefined,
  digest: Digest | undefined,
): string {
  const name = `${upstream}/${repository}`;
  if (tag !== undefined) return `${name}:${tag}`;
  return digest === undefined ? name : `${name}@${digest}`;
}

function isIn(one: RepositoryRef, other: RepositoryRef): boolean {
  return one.upstream === other.upstream && one.repository === other.repository;
}

function keyOf({ upstream, repository }: RepositoryRef, of: string): string {
  return `${upstream}/${repository} ${of}`;
}

/** Whether another program asks, or for a tag that is not the one of a pull under way. */
function isOther(entry: Entry, { userAgent }: ServedRequest, tag: Tag | undefined): boolean {
  if (userAgent !== entry.userAgent) return true;
  return tag !== undefined && entry.tag !== undefined && tag !== entry.tag;
}

function count(entry: Entry, { at, result, reason, bytes }: ServedRequest): Entry {
  entry.requests += 1;
  entry.bytes += bytes;
  if (result === "miss" || result === "bypass") entry.missed += 1;
  entry.endedAt = Math.max(entry.endedAt, at);
  const saysMore = RESULTS.indexOf(result) > RESULTS.indexOf(entry.result);
  if (saysMore || (entry.reason === undefined && result === entry.result)) {
    entry.result = result;
    entry.reason = reason?.slice(0, MAX_REASON);
  }
  return entry;
}
