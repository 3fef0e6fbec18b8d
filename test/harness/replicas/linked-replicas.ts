import { join } from "node:path";
import { contentOf, type SmallContent } from "../images/content.ts";
import { tempDir } from "../temp-dir.ts";
import { openUnreportedStorage } from "../faults/unreported-storage.ts";
import { type NearSources, NO_NEAR_SOURCES } from "../../../src/cache/fetch/near-sources.ts";
import { Cache } from "../../../src/cache/cache.ts";
import { Overrides } from "../../../src/cache/tag-policy/overrides.ts";
import { TagPolicies } from "../../../src/cache/tag-policy/tag-policies.ts";
import type { Upstream } from "../../../src/cache/upstream.ts";
import type { PolicyRule } from "../../../src/config/policies/policy-settings.ts";
import type { UpstreamSettings } from "../../../src/config/settings.ts";
import { Accept } from "../../../src/oci/accept.ts";
import { OCI_MANIFEST } from "../../../src/oci/media-types.ts";
import { Registry } from "../../../src/upstream/registry.ts";
import { openRegistryTransport } from "../../../src/upstream/registry-transport.ts";
import {
  type RecordedRequest,
  loopbackResolver,
  repository,
  serve,
  settings,
  tag,
} from "../../../src/upstream/upstreamtest/test-servers.ts";
import { ReplicaFacts } from "../../../src/cluster/facts/replica-facts.ts";
import { MemoryLedger, SharedMemory } from "../../../src/cluster/ledger/memory-ledger.ts";

const CONFIG = "application/vnd.oci.image.config.v1+json";

/** An image without layers; another one for each text. */
export function smallImage(text: string): SmallContent {
  const config = contentOf({ text }, CONFIG);
  const blob = { mediaType: CONFIG, digest: config.digest, size: config.size };
  return contentOf(
    { schemaVersion: 2, mediaType: OCI_MANIFEST, config: blob, layers: [] },
    OCI_MANIFEST,
  );
}

export interface ReplicasOptions {
  /** What is near all replicas. */
  readonly near?: NearSources;
  readonly settings?: Partial<Omit<UpstreamSettings, "url" | "name">>;
  /** The rules of `policies`. */
  readonly rules?: readonly PolicyRule[];
  /** For how many an order waits until they have carried it out, itself included; default: all. */
  readonly awaited?: number;
  /** How far the clocks of replicas are ahead of that of their ledger, in milliseconds. */
  readonly ahead?: Readonly<Record<string, number>>;
}

export type Replicas = Awaited<ReturnType<typeof replicas>>;
export type Replica = Awaited<ReturnType<typeof replica>>;

/** Three replicas in one process, in front of one registry. Their clock, and that of their ledger, is `clock.now`. */
export async function replicas(options: ReplicasOptions = {}) {
  const clock = { now: 1_000_000_000 };
  let told = 0;
  /** Answers instead of the registry, if it does. */
  type Answer = (request: RecordedRequest) => Response | Promise<Response> | undefined;
  const registry: { answer: Answer | undefined; held: Promise<void> | undefined } = {
    answer: undefined,
    held: undefined,
  };
  const images = new Map<string, SmallContent>();
  const tags = new Map<string, SmallContent>();
  const server = serve(async (request) => {
    const answer = await registry.answer?.(request);
    if (answer) return answer;
    const reference = request.path.split("/").at(-1) ?? "";
    const found = tags.get(reference) ?? images.get(reference);
    if (registry.held) {
      answered?.();
      await registry.held;
    }
    if (!found) return new Response("", { status: 404 });
    const headers = {
      "content-type": found.mediaType,
      "content-length": String(found.size),
      "docker-content-digest": found.digest,
    };
    return new Response(request.method === "HEAD" ? null : found.bytes, { headers });
  });
  let answered: (() => void) | undefined;
  const shared = new SharedMemory(() => clock.now);
  const dir = await tempDir();
  const open = (id: string): Promise<Replica> =>
    replica(id, { clock, shared, port: server.port, path: dir.file(id), ...options });
  const [one, two, three] = await Promise.all([open("one"), open("two"), open("three")]);
  const current = { one, two, three };
  const all = (): readonly Replica[] => Object.values(current);
  return {
    clock,
    shared,
    get one() {
      return current.one;
    },
    get two() {
      return current.two;
    },
    get three() {
      return current.three;
    },
    get all() {
      return all();
    },
    set answer(answer: Answer | undefined) {
      registry.answer = answer;
    },
    /** Until it resolves, the registry's responses are on their way. */
    set held(held: Promise<void> | undefined) {
      registry.held = held;
    },
    /** Resolves once a response is held. */
    answered: (): Promise<void> => {
      const { promise, resolve } = Promise.withResolvers<void>();
      answered = resolve;
      return promise;
    },
    /** Stops a replica, and starts it again on its data directory. */
    restart: async (id: keyof typeof current): Promise<Replica> => {
      await current[id].close();
      current[id] = await open(id);
      return current[id];
    },
    /** Has the registry's tag point to an image, or removes it. */
    push: (name: string, image: SmallContent | undefined): void => {
      if (!image) return void tags.delete(name);
      images.set(image.digest, image);
      tags.set(name, image);
    },
    /** The requests since the last call, such as `HEAD 1`. */
    requests: (): string[] => {
      const texts = server.requests.slice(told).map(({ method, path }) => {
        const reference = path.split("/").at(-1) ?? "";
        return `${method} ${reference.startsWith("sha256:") ? "digest" : reference}`;
      });
      told = server.requests.length;
      return texts;
    },
    /** Resolves once what was told is heard and done. */
    settled: async (): Promise<void> => {
      for (const { ledger, facts } of all()) {
        await ledger.settled();
        await facts.settled();
      }
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await Promise.all(all().map((opened) => opened.close()));
      server[Symbol.dispose]();
      await dir[Symbol.asyncDispose]();
    },
  };
}

interface ReplicaOptions extends Pick<
  ReplicasOptions,
  "settings" | "near" | "rules" | "awaited" | "ahead"
> {
  readonly clock: { readonly now: number };
  readonly shared: SharedMemory;
  readonly port: number;
  readonly path: string;
}

async function replica(
  id: string,
  {
    clock,
    shared,
    port,
    path,
    settings: changed,
    near = NO_NEAR_SOURCES,
    rules = [],
    awaited,
    ahead = {},
  }: ReplicaOptions,
) {
  const now = (): number => clock.now + (ahead[id] ?? 0);
  const ledger = new MemoryLedger(shared, id);
  const refused: string[] = [];
  const failures: Error[] = [];
  const facts = new ReplicaFacts({
    ledger,
    secret: "the replicas' own",
    replicas: () => awaited ?? shared.replicas.size,
    onRefused: (order, reason) => refused.push(`${order}: ${reason}`),
    onFailed: (task, cause) => failures.push(new Error(task, { cause })),
    now,
    monotonicNow: now,
  });
  const storage = await openUnreportedStorage(path);
  const { store, metadata, admin } = storage;
  const overrides = await Overrides.open(metadata.overrides);
  const tagPolicy = new TagPolicies({ overrides, now });
  tagPolicy.configure(rules);
  const cache = new Cache({
    store,
    metadata,
    sidecars: storage.sidecars,
    now,
    tagNews: facts.tagNews,
    manifestNews: facts.manifests,
    imageNews: facts.images,
    tagPolicy,
    near: facts.manifests.vouchedFor(near),
    observer: {
      fillEnded: () => {},
      manifestNotStored: () => {},
      metadataNotWritten: () => {},
      metadataNotRead: () => {},
      prefetchSwitched: () => {},
    },
  });
  const configured = settings(`http://reg.test:${port}`, changed);
  const transport = openRegistryTransport({
    resolver: loopbackResolver,
    pooledLimits: facts.limits,
    replicas: () => shared.replicas.size,
  });
  const upstream: Upstream = {
    settings: configured,
    registry: new Registry(configured, transport),
  };
  const repo = { upstream: configured.name, repository: repository("app") };
  await facts.follow({
    cache,
    admin,
    overrides,
    metadata,
    upstreams: new Map([[configured.name, upstream]]),
    orderFile: join(path, "orders.json"),
  });
  return {
    cache,
    ledger,
    facts,
    /** Orders of others that could not be carried out as they are. */
    refused,
    admin,
    overrides,
    tagPolicy,
    now,
    metadata,
    repo,
    upstream,
    /** The digest that a pull of a tag gets, and how it came about. */
    pull: async (name: string): Promise<{ digest: string; result: string }> => {
      const accept = new Accept(null);
      const { manifest, cacheStatus } = await cache.manifests.get(
        upstream,
        repo,
        tag(name),
        accept,
      );
      return { digest: manifest.digest, result: cacheStatus.result };
    },
    head: async (name: string): Promise<string> =>
      (await cache.manifests.head(upstream, repo, tag(name), new Accept(null))).digest,
    async close(): Promise<void> {
      await ledger.close();
      await facts[Symbol.asyncDispose]();
      await cache.written();
      await storage[Symbol.asyncDispose]();
      if (failures.length > 0) throw new AggregateError(failures);
    },
  };
}
