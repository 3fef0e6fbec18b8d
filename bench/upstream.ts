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
import { push } from "../test/harness/pushing.ts";
import { OCI_MANIFEST } from "../src/oci/media-types.ts";

export const MIB = 1024 * 1024;

/** What the registry out there has, all of it in the repository `bench/app`, tag `1`. */
export interface Stock {
  readonly large: Content;
  readonly herd: Content;
  readonly huge: Content;
  /** As large as many a layer. */
  readonly layer: Content;
  readonly small: SmallContent;
  readonly manifest: SmallContent;
}

/** The registry that everything is pulled from. */
export class Upstream implements AsyncDisposable {
  readonly registry: DockerRegistry;
  readonly stock: Stock;

  constructor(registry: DockerRegistry, stock: Stock) {
    this.registry = registry;
    this.stock = stock;
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

export interface Shape {
  /** Of a round trip, in milliseconds. */
  readonly roundTrip: number;
  /** In MB/s. */
  readonly rate: number;
}

export interface Shaped extends AsyncDisposable {
  readonly url: string;
}

/** The line to a server on this machine, made as long and narrow as a real one. */
export async function shaped(port: number, { roundTrip, rate }: Shape): Promise<Shaped> {
  let listening = 0;
  const program = fileURLToPath(new URL("shaper.ts", import.meta.url));
  const child = await startProcess({
    name: "the shaper",
    command: [process.execPath, program, ...[port, roundTrip, rate].map(String)],
    onLine: (line) => (listening ||= Number(/^port (\d+)$/.exec(line)?.[1] ?? 0)),
    ready: () => listening > 0,
  });
  return {
    url: `http://127.0.0.1:${listening}`,
    async [Symbol.asyncDispose]() {
      await child[Symbol.asyncDispose]();
    },
  };
}
