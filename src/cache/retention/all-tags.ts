import { EventLoopYielder } from "../../event-loop/event-loop-yielder.ts";
import type { TagRef, TagRecord, Tags } from "../../store/metadata-store.ts";

const PAGE_SIZE = 512;

/**
 * Iterates over every recorded tag, or those after one of them, with one page in memory, and yields to the event
 * loop regularly.
 */
export async function* allTags(
  tags: Pick<Tags, "all">,
  after?: TagRef,
): AsyncGenerator<TagRef & TagRecord> {
  const yielder = new EventLoopYielder();
  let last = after;
  for (;;) {
    const page = await tags.all(PAGE_SIZE, last);
    for (const tag of page) {
      yield tag;
      await yielder.pause();
    }
    last = page.at(-1);
    if (page.length < PAGE_SIZE) return;
  }
}
