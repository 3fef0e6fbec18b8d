import { Fault } from "../../oci/fault.ts";
import { latestFirst, type Override, type OverrideStore } from "../override-store.ts";
import type { SidecarFiles } from "./sidecar-files.ts";

type OverrideFile = Pick<SidecarFiles, "overrides" | "saveOverrides">;

/**
 * Overrides in a database, and in a file from which they come back if it is damaged. They hold from the first
 * request on: of a database that is being rebuilt, or cannot be read or written, they come from the file.
 */
export class KeptOverrides implements OverrideStore {
  readonly #overrides: OverrideStore;
  readonly #file: OverrideFile;
  readonly #onNotKept: (fault: Fault) => void;
  #last: Promise<unknown> = Promise.resolve();

  /** @param onNotKept is called if one of the two could not be read or written, and the other one has them */
  constructor(overrides: OverrideStore, file: OverrideFile, onNotKept: (fault: Fault) => void) {
    this.#overrides = overrides;
    this.#file = file;
    this.#onNotKept = onNotKept;
  }

  list(): Promise<Override[]> {
    return this.#inTurn(async () => {
      const saved = await this.#attempt(() => this.#file.overrides());
      // Where both cannot be read, it is not known what operators want.
      if (!saved) return this.#overrides.list();
      const known = (await this.#attempt(() => this.#overrides.list())) ?? [];
      const lost = missing(saved, known);
      await this.#attempt(() => putAll(this.#overrides, lost));
      return [...new Map([...known, ...lost].map((each) => [each.id, each])).values()].toSorted(
        latestFirst,
      );
    });
  }

  put(override: Override): Promise<void> {
    return this.#inTurn(async () => {
      // The file is written over: what a database lacks that was replaced is taken from it first.
      const restored = await this.#attempt(() => restoreOverrides(this.#overrides, this.#file));
      await this.#overrides.put(override);
      if (restored === undefined) return;
      await this.#attempt(async () => this.#file.saveOverrides(await this.#overrides.list()));
    });
  }

  /** One after the other: a list that was read earlier must not be written over a later one. */
  #inTurn<Value>(work: () => Promise<Value>): Promise<Value> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  async #attempt<Value>(work: () => Promise<Value>): Promise<Value | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.#onNotKept(error);
      return undefined;
    }
  }
}

/** Puts into a database what it lacks of the file. Returns how many overrides were restored. */
export async function restoreOverrides(
  overrides: OverrideStore,
  file: Pick<OverrideFile, "overrides">,
): Promise<number> {
  const saved = await file.overrides();
  if (saved.length === 0) return 0;
  const lost = missing(saved, await overrides.list());
  await putAll(overrides, lost);
  return lost.length;
}

/** Those that are not known, and those that are not known to have ended: they do not begin again. */
function missing(saved: readonly Override[], known: readonly Override[]): Override[] {
  const byId = new Map(known.map((override) => [override.id, override]));
  return saved.filter(({ id, ended }) => !byId.has(id) || (ended && !byId.get(id)?.ended));
}

async function putAll(overrides: OverrideStore, all: readonly Override[]): Promise<void> {
  for (const override of all) await overrides.put(override);
}
