import { readFileSync, renameSync } from "node:fs";
import { z } from "zod";
import { removeFileSync } from "../store/remove-file.ts";
import { replaceFile } from "../store/replace-file.ts";
import { systemCode } from "../store/storage-fault.ts";

const schema = z.object({
  upstreams: z.array(z.string()).min(1),
  /** In milliseconds of the epoch. */
  startedAt: z.number(),
  endsAt: z.number(),
});

/** A drill as it is remembered over a restart. */
export type StoredDrill = z.infer<typeof schema>;

/** The drill that is under way, in a file of the data directory. */
export class DrillFile {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** `undefined` if there is none, or if the file is damaged: then there is no drill. */
  read(): StoredDrill | undefined {
    try {
      return schema.safeParse(JSON.parse(readFileSync(this.#path, "utf8"))).data;
    } catch (error) {
      if (systemCode(error) === undefined && !(error instanceof SyntaxError)) throw error;
      return undefined;
    }
  }

  /** @throws Error of the system, if the disk is full or read-only */
  write(drill: StoredDrill): void {
    const next = `${this.#path}.new`;
    replaceFile(next, JSON.stringify(drill), true);
    renameSync(next, this.#path);
  }

  /** @throws Error of the system */
  remove(): void {
    removeFileSync(this.#path);
  }
}
