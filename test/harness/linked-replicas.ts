import { contentOf, type SmallContent } from "./content.ts";
import { Cache } from "../../src/cache/cache.ts";
import type { Upstream } from "../../src/cache/upstream.ts";
import type { UpstreamSettings } from "../../src/config/settings.ts";
import { Accept } from "../../src/oci/accept.ts";
import { OCI_MANIFEST } from "../../src/oci/media-types.ts";
import { MemoryBlobStore } from "../../src/store/memory/memory-blob-store.ts";
import { openMetadata } from "../../src/store/sql/open-metadata.ts";
import {
  type RecordedRequest,
  registry,
  repository,
  serve,
  settings,
  tag,
} from "../../src/upstream/upstreamtest/test-servers.ts";
import { NewsReader } from "../../src/cluster/facts/news-reader.ts";
import { RecentPurges } from "../../src/cluster/facts/recent-purges.ts";
import { TagFacts } from "../../src/cluster/facts/tag-facts.ts";
import { MemoryLedger, SharedMemory } from "../../src/cluster/ledger/memory-ledger.ts";

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
  readonly settings?: Partial<Omit<UpstreamSettings, "url" | "name">>;
  /** Answers instead of the registry, if it does. */
  readonly answer?: (request: RecordedRequest) => Response | Promise<Response> | undefined;
}

export type Replica = Awaited<ReturnType<typeof replica>>;

/** Three replicas in one process, in front of one registry. Their clock, and that of their ledger, is `clock.now`. */
export async function replicas(options: ReplicasOptions = {}) {
  const clock = { now: 1_000_000_000 };
  let told = 0;
  const images = new Map<string, SmallContent>();
  const tags = new Map<string, SmallContent>();
  const server = serve(async (request) => {
    const answer = await options.answer?.(request);
    if (answer) return answer;
    const reference = request.path.split("/").at(-1) ?? "";
    const found = tags.get(reference) ?? images.get(reference);
    if (!found) return new Response("", { status: 404 });
    const headers = {
      "content-type": found.mediaType,
      "content-length": String(found.size),
      "docker-content-digest": found.digest,
    };
    return new Response(request.method === "HEAD" ? null : found.bytes, { headers });
  });
  const shared = new SharedMemory(() => clock.now);
  const open = (id: string): Promise<Replica> =>
    replica(id, { clock, shared, port: server.port, ...options });
  const [one, two, three] = await Promise.all([open("one"), open("two"), open("three")]);
  const all = [one, two, three];
  return {
    clock,
    shared,
    one,
    two,
    three,
    all,
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
    settled: async (): Promise<void> => {
      for (const { ledger } of all) await ledger.settled();
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await Promise.all(all.map((opened) => opened.close()));
      server[Symbol.dispose]();
    },
  };
}

interface ReplicaOptions extends Pick<ReplicasOptions, "settings"> {
  readonly clock: { readonly now: number };
  readonly shared: SharedMemory;
  readonly port: number;
}

async function replica(id: string, { clock, shared, port, settings: changed }: ReplicaOptions) {
  const now = (): number => clock.now;
  const ledger = new MemoryLedger(shared, id);
  const purges = new RecentPurges();
  const metadata = await openMetadata(":memory:");
  const store = new MemoryBlobStore();
  const cache = new Cache({
    store,
    metadata,
    now,
    tagNews: new TagFacts({ ledger, purges, now }),
    observer: {
      fillEnded: () => {},
      manifestNotStored: () => {},
      metadataNotWritten: () => {},
      metadataNotRead: () => {},
      prefetchSwitched: () => {},
    },
  });
  const configured = settings(`http://reg.test:${port}`, changed);
  const upstream: Upstream = { settings: configured, registry: registry(port, "", changed) };
  const repo = { upstream: configured.name, repository: repository("app") };
  const upstreams = new Map([[configured.name, upstream]]);
  const onFailed = (task: string, error: unknown): never => {
    throw new Error(task, { cause: error });
  };
  ledger.hear(new NewsReader({ upstreams, cache, onFailed }));
  return {
    cache,
    ledger,
    purges,
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
      await cache.written();
      await metadata.close();
    },
  };
}
