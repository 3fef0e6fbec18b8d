import type { NodeImage, RuntimeFaultKind, RuntimeImages } from "../runtime.ts";
import type { Cri } from "./cri/cri.ts";

/** Calls CRI, and turns its faults into those of a runtime. */
export interface CriCaller {
  callCri<T>(kind: RuntimeFaultKind, use: (cri: Cri) => Promise<T>): Promise<T>;
}

/** A runtime's images over CRI, which are those of the kubelet: containerd's namespace `k8s.io`, or CRI-O's. */
export class CriImages implements RuntimeImages {
  readonly asksForStored = true;
  readonly #connection: CriCaller;

  constructor(connection: CriCaller) {
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
