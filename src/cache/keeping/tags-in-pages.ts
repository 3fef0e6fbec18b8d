import type { NamedTag, TagFact, Tags } from "../../store/index.ts";

const PAGE = 512;

/** Every tag that is known, a page in memory at a time. */
export async function* everyTag(tags: Pick<Tags, "all">): AsyncGenerator<NamedTag & TagFact> {
  let last: NamedTag | undefined;
  for (;;) {
    const page = await tags.all(PAGE, last);
    yield* page;
    last = page.at(-1);
    if (page.length < PAGE) return;
  }
}
