import { setTimeout } from "node:timers/promises";
import { multiPlatformImage, textImage } from "./images.ts";
import { startScriptedUpstream } from "../registries/scripted-upstream.ts";
import type { Progress } from "../../../src/api/jobs.ts";
import type { WarmResult } from "../../../src/api/warm.ts";
import { Cache } from "../../../src/cache/cache.ts";
import type { Upstream } from "../../../src/cache/upstream.ts";
import { GlobPattern } from "../../../src/config/parsing/glob-pattern.ts";
import type { UpstreamSettings } from "../../../src/config/settings.ts";
import { parseImageSelector } from "../../../src/config/warm/image-selector.ts";
import { type ImageReference, imageName } from "../../../src/oci/image-reference.ts";
import { MemoryBlobStore } from "../../../src/store/memory/memory-blob-store.ts";
import { openMetadata } from "../../../src/store/sql/open-metadata.ts";
import { registry, settings } from "../../../src/upstream/upstreamtest/test-servers.ts";
import { type WarmOrder, type WarmParts, WarmRun } from "../../../src/warm/warm-run.ts";

/** For linux/arm64 and linux/s390x. */
export const multi = await multiPlatformImage({ text: "many", architectures: ["arm64", "s390x"] });
export const [arm, s390x] = multi.children;
export const single = textImage({ text: "single" });

export interface WantedWorldOptions {
  readonly settings?: Partial<UpstreamSettings>;
  readonly maxSize?: number;
  /** Further registries: `registry` of other worlds. */
  readonly others?: readonly Upstream[];
  /** By default, it sleeps for 50 ms at most. */
  readonly sleep?: WarmParts["sleep"];
}

/** A cache in memory, in front of a registry with two images. */
export async function wantedWorld(options: WantedWorldOptions = {}) {
  const upstream = await startScriptedUpstream();
  await upstream.start();
  upstream.add("multi", multi, "1");
  upstream.add("single", single, "1");
  const metadata = await openMetadata(":memory:");
  const store = new MemoryBlobStore();
  const cache = new Cache({
    store,
    metadata,
    observer: {
      fillEnded: () => {},
      manifestNotStored: () => {},
      metadataNotWritten: () => {},
      metadataNotRead: () => {},
      prefetchSwitched: () => {},
    },
  });
  const port = Number(new URL(upstream.url).port);
  const configured = { ...settings(`http://reg.test:${port}`), ...options.settings };
  const client = registry(port, "", options.settings);
  const pinned: string[] = [];
  const upstreamOf = { settings: configured, registry: client };
  const parts: WarmParts = {
    cache,
    upstreams: new Map(
      [upstreamOf, ...(options.others ?? [])].map((one) => [one.settings.name, one]),
    ),
    platformsInUse: async () => ["linux/arm64"],
    maxSize: () => options.maxSize ?? Infinity,
    pin: async (image: ImageReference) => void pinned.push(imageName(image)),
    sleep:
      options.sleep ??
      ((milliseconds, signal) => setTimeout(Math.min(milliseconds, 50), undefined, { signal })),
  };
  const progress: Progress[] = [];
  return {
    upstream,
    store,
    metadata,
    registry: upstreamOf,
    cache,
    parts,
    progress,
    pinned,
    /** Paths of the requests so far, without those for tags by HEAD. */
    get requested(): string[] {
      return upstream.requests({ method: "GET" }).map(({ reference }) => reference);
    },
    async warm(
      images: readonly string[],
      order: Partial<WarmOrder> = {},
      signal: AbortSignal = new AbortController().signal,
    ): Promise<WarmResult> {
      const selectors = images.map((text) => {
        const selector = parseImageSelector(text);
        if (typeof selector === "string") throw new Error(`${text} ${selector}`);
        return selector;
      });
      const defaults = { platforms: [], referrers: false, pin: false, max: 20 };
      const run = new WarmRun(
        parts,
        { ...defaults, images: selectors, ...order },
        (told) => progress.push(told),
        signal,
      );
      return run.run();
    },
    isStored: async (digest: Parameters<typeof store.open>[0]) =>
      (await store.open(digest)) !== undefined,
    async [Symbol.asyncDispose](): Promise<void> {
      await cache.written();
      await metadata.close();
      await upstream.stop();
    },
  };
}

export function glob(text: string): GlobPattern {
  const pattern = GlobPattern.compile(text);
  if (typeof pattern === "string") throw new Error(pattern);
  return pattern;
}
