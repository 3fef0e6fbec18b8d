import { EventLoopYielder } from "../../store/event-loop-yielder.ts";
import type { TagRef, TagRecord, Tags } from "../../store/metadata-store.ts";

const PAGE = 512;

/** Every tag that is known, a page in memory at a time, with pauses in which others are answered. */
export async function* allTags(tags: Pick<Tags, "all">): AsyncGenerator<TagRef & TagRecord> {
  const yielder = new EventLoopYielder();
  let last: TagRef | undefined;
  for (;;) {
    const page = await tags.all(PAGE, last);
    for (const tag of page) {
      yield tag;
      await yielder.pause();
    }
    last = page.at(-1);
    if (page.length < PAGE) return;
  }
}
