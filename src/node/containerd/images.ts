import type { NodeImage, RuntimeImages } from "../runtime.ts";
import type { Connection } from "./connection.ts";

/** containerd's images over CRI: those in the namespace `k8s.io`, which the kubelet uses. */
export class CriImages implements RuntimeImages {
  readonly asksForStored = true;
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  list(): Promise<readonly NodeImage[]> {
    return this.#connection.callCri("dead", (cri) => cri.images());
  }

  async pull(reference: string, timeoutMs: number): Promise<void> {
    await this.#connection.callCri("pull-failed", (cri) => cri.pull(reference, timeoutMs));
  }

  remove(reference: string): Promise<void> {
    return this.#connection.callCri("dead", (cri) => cri.remove(reference));
  }
}
