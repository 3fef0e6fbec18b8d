import type { ImageReference } from "../oci/image-reference.ts";

/** An image that somebody will pull, also while its registry does not answer. */
export interface WantedImage {
  readonly image: ImageReference;
  /** Who wants it, for people to read: `Deployment shop/web`, `node worker-1`. */
  readonly by: string;
  /** Where it runs, such as `linux/arm64`; absent if the source does not know. */
  readonly platforms?: readonly string[];
}

/** A source of images that are wanted: a cluster, a node, lists of the configuration, pulls. */
export interface WantedImages {
  /** One word for people and for JSON: `cluster`, `node`, `lists`, `pulls`. */
  readonly name: string;
  /** Whether there is such a source here; by default, there is. */
  readonly isConfigured?: boolean;
  /**
   * Lists all of them as they are now. The same image may occur again, wanted by others. Names that no
   * registry could have are left out.
   *
   * @throws Error if the source cannot be read; its message says which one, why, and what to do. What was
   * listed before does not stand for all then.
   */
  list(signal: AbortSignal): AsyncIterable<WantedImage>;
}
