import type { NodeImage, RuntimeImages } from "../runtime.ts";
import type { Connection } from "./connection.ts";

/** Docker's images, over its API. */
export class DockerImages implements RuntimeImages {
  /** The classic image store takes a manifest by digest from its own content. */
  readonly asksForStored = false;
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  list(): Promise<readonly NodeImage[]> {
    return this.#connection.call("dead", (engine) => engine.images());
  }

  pull(reference: string, timeoutMs: number): Promise<void> {
    return this.#connection.call("pull-failed", (engine) => engine.pull(reference, timeoutMs));
  }

  remove(reference: string): Promise<void> {
    return this.#connection.call("dead", (engine) => engine.remove(reference));
  }
}
