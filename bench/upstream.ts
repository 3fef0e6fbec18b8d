import {
  type DockerRegistry,
  startDockerRegistry,
} from "../test/harness/registries/docker-registry.ts";
import {
  type Content,
  contentOf,
  descriptor,
  randomContent,
  type SmallContent,
} from "../test/harness/images/content.ts";
import type { Image } from "../test/harness/images/images.ts";
import { push } from "../test/harness/registries/push.ts";
import { OCI_MANIFEST } from "../src/oci/media-types.ts";

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

/** The registry that the compared systems cache. An image is made and pushed at its first use. */
export class Upstream implements AsyncDisposable {
  readonly registry: DockerRegistry;
  readonly #hugeBytes: number;
  readonly #images = new Map<string, Promise<Image>>();
  #blobs: Promise<BenchBlobs> | undefined;

  /** @param hugeBytes the size of `huge` */
  constructor(registry: DockerRegistry, hugeBytes: number) {
    this.registry = registry;
    this.#hugeBytes = hugeBytes;
  }

  /** The blobs of `bench/app:1`. */
  blobs(): Promise<BenchBlobs> {
    this.#blobs ??= this.#pushApp();
    return this.#blobs;
  }

  /** Pushes `bench/NAME:1`. */
  image(name: string, make: () => Image | Promise<Image>): Promise<Image> {
    const pushed = this.#images.get(name) ?? this.#push(name, make);
    this.#images.set(name, pushed);
    return pushed;
  }

  async #push(name: string, make: () => Image | Promise<Image>): Promise<Image> {
    const image = await make();
    await push(image, { url: this.registry.url, repository: `bench/${name}`, tag: "1" });
    return image;
  }

  async #pushApp(): Promise<BenchBlobs> {
    const bytes = [...randomContent(10 * 1024, 3).chunks()][0] ?? new Uint8Array();
    const small = contentOf(bytes, "application/octet-stream");
    const [large, herd] = [randomContent(256 * MIB, 7), randomContent(200 * MIB, 11)];
    const [huge, layer] = [randomContent(this.#hugeBytes, 13), randomContent(16 * MIB, 17)];
    const { manifest } = await this.image("app", () =>
      blobsImage([large, herd, huge, layer, small]),
    );
    return { large, herd, huge, layer, small, manifest };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.registry[Symbol.asyncDispose]();
  }
}

export async function startUpstream(hugeBytes: number): Promise<Upstream> {
  return new Upstream(await startDockerRegistry(), hugeBytes);
}

/** An image of blobs that nobody unpacks. */
export function blobsImage(blobs: readonly Content[]): Image {
  const config = contentOf(
    { architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: [] } },
    "application/vnd.oci.image.config.v1+json",
  );
  const json = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: descriptor(config),
    layers: blobs.map((blob) => descriptor(blob)),
  };
  return { manifest: contentOf(json, OCI_MANIFEST), blobs: [config, ...blobs], children: [] };
}
