import { Cache } from "../../../src/cache/cache.ts";
import type { CacheStatus } from "../../../src/cache/cache-status.ts";
import { Overrides } from "../../../src/cache/tag-policy/overrides.ts";
import { TagPolicies } from "../../../src/cache/tag-policy/tag-policies.ts";
import type { Upstream } from "../../../src/cache/upstream.ts";
import type { AgeRule, PolicyRule } from "../../../src/config/policies/policy-settings.ts";
import { policyMatch } from "../../../src/config/policies/policy-match.ts";
import { Accept } from "../../../src/oci/accept.ts";
import { type Digest, parseDigest } from "../../../src/oci/digest.ts";
import { Fault } from "../../../src/oci/fault.ts";
import { MemoryBlobStore } from "../../../src/store/memory/memory-blob-store.ts";
import { openMetadata } from "../../../src/store/sql/open-metadata.ts";
import {
  registry,
  repository,
  serve,
  settings,
  tag,
} from "../../../src/upstream/upstreamtest/test-servers.ts";
import type { SmallContent } from "../images/content.ts";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tempDir } from "../temp-dir.ts";

const TAG = tag("1");
/** Where a file system is in memory, by which a sequence does not wait for a disk. Nothing here is about crashes. */
const IN_MEMORY = existsSync("/dev/shm") ? "/dev/shm" : undefined;
/** What is kept of those before, overrides above all, is looked through by those after. */
const SEQUENCES_OF_A_DATABASE = 100;
const ANY = new Accept(null);

export interface RegistryState {
  /** What its tag points to. */
  current: SmallContent | undefined;
  /** What can be had by its digest. */
  readonly contents: Map<string, SmallContent>;
  /** The status of all its answers; absent if it works. */
  failure: number | undefined;
}

/** What a client gets of the tag or a digest: a digest, or the kind of the fault. */
export type Got = Given | string;

interface Given {
  readonly digest: string;
  readonly warning?: string;
  readonly isStale: boolean;
}

export type GovernedCache = Awaited<ReturnType<typeof governedCache>>;

/**
 * A cache in this process, on SQLite, in front of a registry with one tag in one repository, under a clock of the
 * test's. Opening it takes longer than most sequences of events, so each of these gets a repository of its own.
 */
export async function governedCache(clock: { now: number }) {
  const now = (): number => clock.now;
  const state: RegistryState = { current: undefined, contents: new Map(), failure: undefined };
  const server = serve(({ method, path }) => {
    if (state.failure !== undefined) return new Response("", { status: state.failure });
    const reference = path.split("/").at(-1) ?? "";
    const found = reference === TAG ? state.current : state.contents.get(reference);
    if (!found) return new Response("", { status: 404 });
    const headers = {
      "content-type": found.mediaType,
      "content-length": String(found.size),
      "docker-content-digest": found.digest,
    };
    return new Response(method === "HEAD" ? null : found.bytes, { headers });
  });
  const dir = await tempDir("governed", IN_MEMORY);
  let database = dir.file("metadata.sqlite");
  const store = new MemoryBlobStore();
  let rules: readonly PolicyRule[] = [];
  const open = async () => {
    const metadata = await openMetadata(database);
    const overrides = await Overrides.open(metadata.overrides);
    const policy = new TagPolicies({ overrides, now });
    policy.configure(rules);
    const cache = new Cache({
      store,
      metadata,
      tagPolicy: policy,
      now,
      observer: {
        fillEnded: () => {},
        manifestNotStored: () => {},
        metadataNotWritten: (fault) => {
          throw fault;
        },
        metadataNotRead: (fault) => {
          throw fault;
        },
        prefetchSwitched: () => {},
      },
    });
    const changed = { tagTtl: 0, prefetch: "off" } as const;
    const upstream: Upstream = {
      settings: settings(`http://reg.test:${server.port}`, changed),
      registry: registry(server.port, "", changed),
    };
    return { metadata, overrides, policy, cache, upstream };
  };
  let opened = await open();
  let repo = { upstream: opened.upstream.settings.name, repository: repository("app-0") };
  const close = async (): Promise<void> => {
    await opened.cache.written();
    await opened.metadata.close();
  };
  const restart = async (): Promise<void> => {
    await close();
    opened = await open();
  };
  const evict = async (digest: Digest): Promise<void> => {
    await opened.cache.written();
    await store.remove(digest);
    opened.cache.forget(digest);
  };
  const attempt = async (ask: () => Promise<Got>): Promise<Got> => {
    try {
      return await ask();
    } catch (error) {
      if (error instanceof Fault) return error.detail.kind;
      throw error;
    }
  };
  return {
    state,
    /** `reg.test/app-1`. */
    get name(): string {
      return `${repo.upstream}/${repo.repository}`;
    },
    /** From here on, all is about another repository, of which nothing is known. */
    begin: async (number: number): Promise<void> => {
      if (number % SEQUENCES_OF_A_DATABASE === 0) {
        await close();
        await Promise.all([...files(database)].map((file) => rm(file, { force: true })));
        database = dir.file(`metadata-${number}.sqlite`);
        opened = await open();
      } else if (state.failure !== undefined) await restart();
      state.current = undefined;
      state.contents.clear();
      state.failure = undefined;
      for await (const { digest } of store.entries()) await evict(digest);
      repo = { ...repo, repository: repository(`app-${number}`) };
    },
    get overrides(): Overrides {
      return opened.overrides;
    },
    get: (): Promise<Got> =>
      attempt(async () => {
        const { cache, upstream } = opened;
        const { manifest, cacheStatus } = await cache.manifests.get(upstream, repo, TAG, ANY);
        return given(manifest.digest, cacheStatus);
      }),
    head: (): Promise<Got> =>
      attempt(async () => {
        const { cache, upstream } = opened;
        const { digest, cacheStatus } = await cache.manifests.head(upstream, repo, TAG, ANY);
        return given(digest, cacheStatus);
      }),
    /** Whether the rules let a digest be had by its name. */
    named: (text: string): Promise<Got> =>
      attempt(async () => {
        const { cache, upstream } = opened;
        await cache.heldDigests.check(upstream, repo, digestOf(text), "manifest");
        return given(text, { result: "hit" });
      }),
    isStored: async (digest: string): Promise<boolean> => {
      await opened.cache.written();
      return (await store.open(digestOf(digest))) !== undefined;
    },
    evict: (text: string): Promise<void> => evict(digestOf(text)),
    /** Removes what is recorded of the tag, as a purge does. */
    purge: async (): Promise<void> => {
      await opened.cache.written();
      await opened.metadata.tags.remove(repo, TAG);
    },
    isRecorded: async (): Promise<boolean> => {
      await opened.cache.written();
      return (await opened.metadata.tags.get(repo, TAG)) !== undefined;
    },
    govern: (rule: AgeRule | undefined): void => {
      const match = policyMatch("reg.test/**");
      if (typeof match === "string") throw new Error(match);
      rules = rule ? [{ match, age: rule }] : [];
      opened.policy.configure(rules);
    },
    restart,
    async [Symbol.asyncDispose](): Promise<void> {
      await close();
      server[Symbol.dispose]();
      await dir[Symbol.asyncDispose]();
    },
  };
}

function* files(database: string): Generator<string> {
  for (const suffix of ["", "-wal", "-shm"]) yield `${database}${suffix}`;
}

function given(digest: string, { result, held }: CacheStatus): Given {
  const warning = held === undefined ? {} : { warning: held };
  return { digest, ...warning, isStale: result === "stale" };
}

function digestOf(text: string): Digest {
  const digest = parseDigest(text);
  if (!digest) throw new Error(text);
  return digest;
}
