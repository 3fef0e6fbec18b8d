import { EventLoopYielder } from "../../event-loop/event-loop-yielder.ts";
import { parseTag, type Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import type { TagRecords } from "../lookup/tag-records.ts";
import type { TagPolicy } from "../tag-policy/tag-policy.ts";

/** Of how many tags it is read at once when they were first seen: with 40 stays each, as many as are kept, it takes 5 ms. */
const TAGS_AT_ONCE = 256;
/** And all that they have had: 10 ms. */
const HISTORIES_AT_ONCE = 64;

export interface HeldTagsOptions {
  readonly policy: Pick<TagPolicy, "hidden" | "hidesAny" | "hidesByAge">;
  readonly records: Pick<TagRecords, "firstSeen" | "histories">;
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
    const hidden = new Set<string>();
    let unsure: Tag[] = [];
    for (let from = 0; from < tags.length; from += TAGS_AT_ONCE) {
      // What is no tag cannot be pulled.
      const some = tags.slice(from, from + TAGS_AT_ONCE).flatMap((text) => parseTag(text) ?? []);
      const firstSeen = await records.firstSeen(repo, some);
      for (const tag of some) {
        const isHidden = policy.hidesByAge(repo, tag, firstSeen.get(tag));
        if (isHidden === undefined) unsure.push(tag);
        else if (isHidden) hidden.add(tag);
      }
      await yielder.pause();
    }
    for (; unsure.length > 0; unsure = unsure.slice(HISTORIES_AT_ONCE)) {
      const histories = await records.histories(repo, unsure.slice(0, HISTORIES_AT_ONCE));
      await yielder.pause();
      for (const tag of await policy.hidden(repo, histories)) hidden.add(tag);
      await yielder.pause();
    }
    return hidden.size === 0 ? tags : tags.filter((tag) => !hidden.has(tag));
  }
}
