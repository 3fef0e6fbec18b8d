import { EventLoopYielder } from "../../event-loop/event-loop-yielder.ts";
import { parseTag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import type { TagRecords } from "../lookup/tag-records.ts";
import type { TagPolicy } from "../tag-policy/tag-policy.ts";

export interface HeldTagsOptions {
  readonly policy: Pick<TagPolicy, "hides" | "hidesAny">;
  readonly records: Pick<TagRecords, "history">;
}

/** Tags that are held as a whole, for lists that do not show them. */
export class HeldTags {
  readonly #options: HeldTagsOptions;

  constructor(options: HeldTagsOptions) {
    this.#options = options;
  }

  /** Those of some tags of a repository that its lists show, in their order. */
  async shown(repo: RepositoryRef, tags: readonly string[]): Promise<readonly string[]> {
    const { policy, records } = this.#options;
    if (!policy.hidesAny(repo)) return tags;
    const yielder = new EventLoopYielder();
    const shown: string[] = [];
    for (const text of tags) {
      await yielder.pause();
      const tag = parseTag(text);
      // What is no tag cannot be pulled.
      const isHidden = tag && (await policy.hides(repo, tag, await records.history(repo, tag)));
      if (!isHidden) shown.push(text);
    }
    return shown;
  }
}
