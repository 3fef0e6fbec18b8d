import type { ImageReference } from "../oci/image-reference.ts";

/** An image that something in a cluster runs, or would run. */
export interface ClusterImage {
  readonly image: ImageReference;
  /** `Deployment shop/web`. */
  readonly by: string;
  /** The platforms of the nodes that it can run on; absent if the nodes are not known. */
  readonly platforms?: readonly string[];
  /** The addresses of the node that a pod is on. */
  readonly hosts?: readonly string[];
  /** Whether it runs now; else it is scaled to zero, or suspended. */
  readonly isRunning: boolean;
}

export interface ClusterState {
  /** Whether everything was read, and is kept up to date now. */
  readonly isCurrent: boolean;
  /** Why not, for the operator; absent while it is being read for the first time. */
  readonly problem?: string;
}

/** A cluster, as a source of images. It is only read. */
export interface Cluster extends Disposable {
  /**
   * All images as they are known now: while the cluster is away, as they were. The same image occurs once for each
   * that runs it. Names that no registry could have are left out.
   *
   * @throws Error if it was never read; its message says why, and what to do
   */
  images(signal: AbortSignal): AsyncIterable<ClusterImage>;
  readonly state: ClusterState;
  /** Calls back after changes of images or of the state, soon, and once for many. */
  onChange(changed: () => void): void;
}
