import { fileURLToPath } from "node:url";
import { type DockerRegistry, startDockerRegistry } from "../test/harness/docker-registry.ts";
import {
  type Content,
  contentOf,
  descriptor,
  randomContent,
  type SmallContent,
} from "../test/harness/content.ts";
import { manyLayersImage } from "../test/harness/images.ts";
import { startProcess } from "../test/harness/processes.ts";
import { push } from "../test/harness/push.ts";
import { OCI_MANIFEST } from "../src/oci/media-types.ts";
import type { LinkShape } from "./link.ts";

export const MIB = 1024 * 1024;

/** The upstream's image `bench/app:1`: its manifest and blobs. */
export interface BenchBlobs {
  /** 256 MiB. */
  readonly large: Content;
  /** 200 MiB. */
  readonly herd: Content;
  /** 2 GiB; 256 MiB in quick runs. */
  readonly huge: Content;
  /** 16 MiB, the size of many layers. */
  readonly layer: Content;
  /** 10 KiB. */
  readonly small: SmallContent;
  readonly manifest: SmallContent;
}

/** The registry that the compared systems cache. */
export class Upstream implements AsyncDisposable {
  readonly registry: DockerRegistry;
  readonly blobs: BenchBlobs;

  constructor(registry: DockerRegistry, blobs: BenchBlobs) {
    this.registry = registry;
    this.blobs = blobs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.registry[Symbol.asyncDispose]();
  }
}

export async function startUpstream(hugeBytes: number): Promise<Upstream> {
  const registry = await startDockerRegistry();
  const bytes = [...randomContent(10 * 1024, 3).chunks()][0] ?? new Uint8Array();
  const small = contentOf(bytes, "application/octet-stream");
  const [large, herd] = [randomContent(256 * MIB, 7), randomContent(200 * MIB, 11)];
  const [huge, layer] = [randomContent(hugeBytes, 13), randomContent(16 * MIB, 17)];
  const config = contentOf(
    { architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: [] } },
    "application/vnd.oci.image.config.v1+json",
  );
  const layers = [large, herd, huge, layer, small].map((blob) => descriptor(blob));
  const json = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: descriptor(config),
    layers,
  };
  const manifest = contentOf(json, OCI_MANIFEST);
  const image = { manifest, blobs: [config, large, herd, huge, layer, small], children: [] };
  await push(image, { url: registry.url, repository: "bench/app", tag: "1" });
  const many = await manyLayersImage({ text: "bench" });
  await push(many, { url: registry.url, repository: "bench/many", tag: "1" });
  return new Upstream(registry, { large, herd, huge, layer, small, manifest });
}

export interface ShapedLink extends AsyncDisposable {
  readonly url: string;
  /** Bytes that have arrived at clients since the start, with the heads of responses. */
  delivered(): Promise<number>;
}

/** Starts a proxy to a server on this machine that simulates a network link (see shaper.ts). */
export async function startShaper(port: number, shape: LinkShape): Promise<ShapedLink> {
  let listening = 0;
  let asked = Promise.withResolvers<number>();
  const program = fileURLToPath(new URL("shaper.ts", import.meta.url));
  const child = await startProcess({
    name: "the shaper",
    command: [process.execPath, program, String(port), JSON.stringify(shape)],
    onLine: (line) => {
      const [, name, figure] = /^(port|delivered) (\d+)$/.exec(line) ?? [];
      if (name === "port") listening = Number(figure);
      if (name === "delivered") asked.resolve(Number(figure));
    },
    ready: () => listening > 0,
  });
  return {
    url: `http://127.0.0.1:${listening}`,
    delivered() {
      asked = Promise.withResolvers();
      child.signal("SIGUSR2");
      return asked.promise;
    },
    async [Symbol.asyncDispose]() {
      await child[Symbol.asyncDispose]();
    },
  };
}
