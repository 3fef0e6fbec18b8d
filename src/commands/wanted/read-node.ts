import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { imageName } from "../../oci/image-reference.ts";
import { CommandError } from "../store/store-connection.ts";
import { NodeImages } from "./node-images.ts";

/** Where runtimes that speak CRI listen: containerd, that of k3s and RKE2, CRI-O. */
const SOCKETS = [
  "/run/containerd/containerd.sock",
  "/run/k3s/containerd/containerd.sock",
  "/run/crio/crio.sock",
] as const;

/** The images of a node, and the platform for which it has them, if that is known. */
export interface NodeList {
  readonly images: readonly string[];
  readonly platforms: readonly string[];
}

/**
 * Lists the images that the runtime of this machine has.
 *
 * @param given where it listens; by default, the first place at which one does
 * @throws CommandError
 */
export async function readNode(given: string | undefined): Promise<NodeList> {
  const socket = (given ?? SOCKETS.find((path) => existsSync(path)))?.replace(/^unix:\/\//, "");
  if (socket === undefined) {
    throw new CommandError(
      `no runtime with CRI listens at ${SOCKETS.join(", ")}: give its socket, --from-node /path/to.sock`,
    );
  }
  // gRPC is loaded only here.
  const { Cri } = await import("../../node/containerd/cri/cri.ts");
  const cri = new Cri(socket);
  try {
    const images: string[] = [];
    const platforms = new Set<string>();
    const wanted = new NodeImages(cri, hostname()).list(AbortSignal.timeout(60_000));
    for await (const { image, platforms: own = [] } of wanted) {
      images.push(imageName(image));
      for (const platform of own) platforms.add(platform);
    }
    return { images: [...new Set(images)], platforms: [...platforms] };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new CommandError(`--from-node: ${error.message}`, { cause: error });
  } finally {
    cri.close();
  }
}
