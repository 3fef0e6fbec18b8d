import { existsSync } from "node:fs";
import { hostname } from "node:os";
import type { WantedImage } from "../../readiness/wanted.ts";
import { NodeImages } from "./node-images.ts";

/** Where runtimes speak CRI: containerd, that of k3s and RKE2, CRI-O, and Docker's. */
const SOCKETS = [
  "/run/containerd/containerd.sock",
  "/run/k3s/containerd/containerd.sock",
  "/run/crio/crio.sock",
  "/run/cri-dockerd.sock",
] as const;

/** This machine's images cannot be read. The message says what to do. */
export class NodeError extends Error {
  override readonly name = "NodeError";
}

/**
 * The images that the runtime of this machine has.
 *
 * @param socket of the runtime, as the kubelet takes it too: with `unix://` before it
 * @throws NodeError
 */
export async function readNode(socket: string | undefined): Promise<readonly WantedImage[]> {
  const given = socket?.replace(/^unix:\/\//, "") || undefined;
  const path = given ?? SOCKETS.find((each) => existsSync(each));
  if (path === undefined) {
    const places = SOCKETS.join(", ");
    throw new NodeError(`no runtime of this machine speaks CRI at ${places}: name its socket`);
  }
  // What speaks CRI takes time and memory to load.
  const { Cri, CriFault } = await import("../../node/containerd/cri/cri.ts");
  const cri = new Cri(path);
  try {
    const images = new NodeImages(cri, hostname());
    return await Array.fromAsync(images.list(AbortSignal.timeout(60_000)));
  } catch (error) {
    if (error instanceof CriFault) throw new NodeError(error.message, { cause: error });
    throw error;
  } finally {
    cri.close();
  }
}
