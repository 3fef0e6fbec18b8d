import { expect } from "bun:test";
import { contentOf, descriptor, type SmallContent } from "./content.ts";
import { until } from "../waiting.ts";
import type { UpstreamSettings } from "../../../src/config/settings.ts";
import { Accept } from "../../../src/oci/accept.ts";
import type { Digest } from "../../../src/oci/digest.ts";
import { OCI_MANIFEST } from "../../../src/oci/media-types.ts";
import { MemoryBlobStore } from "../../../src/store/memory/memory-blob-store.ts";
import { openMetadata } from "../../../src/store/sql/open-metadata.ts";
import {
  type RecordedRequest,
  registry,
  repository,
  serve,
  settings,
} from "../../../src/upstream/upstreamtest/test-servers.ts";
import { Cache } from "../../../src/cache/cache.ts";
import type { BlobResult } from "../../../src/cache/results.ts";

export const LAYER = "application/vnd.oci.image.layer.v1.tar";
export const config = contentOf("{}", "application/vnd.oci.image.config.v1+json");
export const layers = ["one", "two", "three", "four"].map((name) =>
  contentOf(`layer ${name}`, LAYER),
);
export const image = imageOf(layers);

export function imageOf(those: readonly SmallContent[]): SmallContent {
  const blobs = { config: descriptor(config), layers: those.map(descriptor) };
  return contentOf({ schemaVersion: 2, mediaType: OCI_MANIFEST, ...blobs }, OCI_MANIFEST);
}

export interface WorldOptions {
  readonly settings?: Partial<UpstreamSettings>;
  readonly hasRoom?: boolean;
  /** That a blob is stored is recorded once this resolves. */
  readonly recording?: Promise<void>;
  /** Answers instead of the registry, if it does. */
  readonly answer?: (
    request: RecordedRequest,
  ) => Response | undefined | Promise<Response | undefined>;
}

/** A cache in memory in front of a registry with one image. */
export async function world(options: WorldOptions = {}) {
  const contents = new Map([image, config, ...layers].map((content) => [content.digest, content]));
  const server = serve(async (request) => {
    const answer = await options.answer?.(request);
    if (answer) return answer;
    const digest = request.path.split("/").at(-1);
    const content = [...contents.values()].find((other) => other.digest === digest);
    if (!content) return new Response("", { status: 404 });
    return new Response(content.bytes, { headers: { "content-type": content.mediaType } });
  });
  const metadata = await openMetadata(":memory:");
  const store = new MemoryBlobStore();
  const { tags, links, listings, access, visibility, tagHistory, blobs } = metadata;
  const cache = new Cache({
    store,
    metadata: {
      tags,
      links,
      listings,
      access,
      visibility,
      tagHistory,
      blobs: {
        get: (digest) => blobs.get(digest),
        put: async (...record) => {
          await options.recording;
          await blobs.put(...record);
        },
      },
    },
    hasRoomFor: () => options.hasRoom ?? true,
    observer: {
      fillEnded: () => {},
      manifestNotStored: () => {},
      metadataNotWritten: () => {},
      metadataNotRead: () => {},
      prefetchSwitched: () => {},
    },
  });
  const configured = { ...settings(`http://reg.test:${server.port}`), ...options.settings };
  const client = registry(server.port, "", options.settings);
  const upstream = { settings: configured, registry: client };
  const repo = { upstream: configured.name, repository: repository("app") };
  const isStored = async (digest: Digest): Promise<boolean> =>
    (await store.open(digest)) !== undefined;
  return {
    cache,
    metadata,
    repo,
    /** The digests of the blobs that were requested, in the order of the image. */
    get requested(): Digest[] {
      const paths = server.requests.map(({ path }) => path);
      return [config, ...layers]
        .map(({ digest }) => digest)
        .filter((digest) => paths.some((path) => path.endsWith(`/blobs/${digest}`)));
    },
    get requests(): number {
      return server.requests.length;
    },
    requestsFor: (content: SmallContent | undefined): number =>
      server.requests.filter(({ path }) => content && path.endsWith(content.digest)).length,
    manifest: () => cache.manifests.get(upstream, repo, image.digest, new Accept(null)),
    get: async (content: SmallContent | undefined): Promise<string> => {
      if (!content) throw new Error("there is no such layer");
      const result: BlobResult = await cache.blobs.get(upstream, repo, content.digest);
      if (result.kind !== "complete") throw new Error("a small blob is verified first");
      expect(await result.blob.bytes.text()).toBe(new TextDecoder().decode(content.bytes));
      return result.cacheStatus.result;
    },
    stored: async (...wanted: readonly (SmallContent | undefined)[]): Promise<void> => {
      const all = async (): Promise<boolean> =>
        (
          await Promise.all(wanted.flatMap((content) => (content ? isStored(content.digest) : [])))
        ).every(Boolean);
      await until(all, { what: "the siblings are stored" });
      await until(() => cache.fills.count === 0, { what: "no fill is running" });
    },
    upstream,
    async [Symbol.asyncDispose](): Promise<void> {
      await cache.written();
      await metadata.close();
      server[Symbol.dispose]();
    },
  };
}
