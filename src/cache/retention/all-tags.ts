import { Courtesy } from "../../store/event-loop-yielder.ts";
import type { NamedTag, TagFact, Tags } from "../../store/metadata-store.ts";

const PAGE = 512;

/** Every tag that is known, a page in memory at a time, with pauses in which others are answered. */
export async function* everyTag(tags: Pick<Tags, "all">): AsyncGenerator<NamedTag & TagFact> {
  const courtesy = new Courtesy();
  let last: NamedTag | undefined;
  for (;;) {
    const page = await tags.all(PAGE, last);
    for (const tag of page) {
      yield tag;
      await courtesy.pause();
    }
    last = page.at(-1);
    if (page.length < PAGE) return;
  }
}
