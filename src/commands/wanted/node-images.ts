import { parseImageReference } from "../../oci/image-reference.ts";
import type { LocalImage } from "../../node/containerd/cri/cri.ts";
import type { WantedImage, WantedImages } from "../../readiness/wanted.ts";

/** What tells which images a node has: the client of CRI on its socket. */
interface ImageList {
  images(): Promise<readonly LocalImage[]>;
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

/** The images that the runtime of this machine has: what runs here, and ran here. */
export class NodeImages implements WantedImages {
  readonly name = "node";
  readonly #cri: ImageList;
  readonly #node: string;

  /** @param node its name, for people */
  constructor(cri: ImageList, node: string) {
    this.#cri = cri;
    this.#node = node;
  }

  /** @throws CriFault if the runtime does not answer */
  async *list(signal: AbortSignal): AsyncGenerator<WantedImage> {
    const images = await this.#cri.images();
    signal.throwIfAborted();
    const architecture = ARCHITECTURES[process.arch];
    const platforms = architecture === undefined ? {} : { platforms: [`linux/${architecture}`] };
    for (const { tags, digests } of images) {
      // One that was pulled by digest has no tag; those of builds have neither.
      for (const name of tags.length > 0 ? tags : digests) {
        const image = parseImageReference(name);
        if (image) yield { image, by: `node ${this.#node}`, ...platforms };
      }
    }
  }
}
