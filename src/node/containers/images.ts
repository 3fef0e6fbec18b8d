import { z } from "zod";
import type { NodeImage, RuntimeImages } from "../runtime.ts";
import { RuntimeFault } from "../runtime.ts";
import type { Connection } from "./connection.ts";

const listSchema = z.array(
  z.object({
    Names: z.array(z.string()).nullish(),
    RepoDigests: z.array(z.string()).nullish(),
  }),
);

/** Root's images of Podman, which are those of CRI-O too unless it was given a storage of its own. */
export class PodmanImages implements RuntimeImages {
  readonly asksForStored = true;
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async list(): Promise<readonly NodeImage[]> {
    const text = await this.#connection.podman("dead", ["images", "--format", "json"]);
    const parsed = listSchema.safeParse(JSON.parse(text));
    if (!parsed.success) throw new RuntimeFault("dead", "podman images printed something else");
    return parsed.data.map((it) => ({ tags: it.Names ?? [], digests: it.RepoDigests ?? [] }));
  }

  async pull(reference: string, timeoutMs: number): Promise<void> {
    await this.#connection.podman("pull-failed", ["pull", "--quiet", reference], timeoutMs);
  }

  async remove(reference: string): Promise<void> {
    await this.#connection.podman("dead", ["rmi", reference]);
  }
}
