import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import { HOUR_MS, type TagPulls } from "../../store/history-store.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";

/** How many wait to be written. */
const MAX_WAITING = 5000;

/** What clients got for tags since that was last written: by it, changed rules can be tried before they hold. */
export class CountedTagPulls {
  #waiting = new Map<string, TagPulls>();

  /** @param digest absent where the tag was refused, since it was held */
  pulled(repo: RepositoryRef, tag: Tag, digest: Digest | undefined, pulledAt: number): void {
    this.#add({ repo, tag, ...(digest === undefined ? {} : { digest }), pulledAt, pulls: 1 });
  }

  /** What is to be written, and is forgotten here. */
  take(): readonly TagPulls[] {
    const taken = [...this.#waiting.values()];
    this.#waiting = new Map();
    return taken;
  }

  /** They could not be written. */
  putBack(taken: readonly TagPulls[]): void {
    for (const one of taken) this.#add(one);
  }

  #add(one: TagPulls): void {
    const { repo, tag, digest = "", pulledAt } = one;
    const hour = Math.floor(pulledAt / HOUR_MS);
    const key = `${repo.upstream}/${repo.repository}:${tag} ${digest} ${hour}`;
    const before = this.#waiting.get(key);
    if (!before && this.#waiting.size >= MAX_WAITING) return;
    const pulls = one.pulls + (before?.pulls ?? 0);
    this.#waiting.set(key, { ...one, pulls, pulledAt: Math.max(pulledAt, before?.pulledAt ?? 0) });
  }
}
