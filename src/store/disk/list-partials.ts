import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { PartialEntry } from "../blob-store.ts";
import { parsePartialName } from "../partial-name.ts";
import { JOURNAL_SUFFIX } from "./extent-journal.ts";
import { fileNames } from "./file-facts.ts";

/** The unit of `stat.blocks`, whatever the file system's is. */
const BLOCK_BYTES = 512;

/**
 * The partial downloads in a folder. A journal that has lost its file counts as an empty one, so that it is
 * removed like any other.
 *
 * @throws Fault of kind `storage`
 */
export async function* listPartials(folder: string): AsyncGenerator<PartialEntry> {
  const files = await fileNames(folder);
  const names = new Set(
    files.map((file) =>
      file.endsWith(JOURNAL_SUFFIX) ? file.slice(0, -JOURNAL_SUFFIX.length) : file,
    ),
  );
  for (const name of names) {
    const partial = parsePartialName(name);
    if (!partial) continue;
    const found = await Promise.all(
      [name, `${name}${JOURNAL_SUFFIX}`].map((file) => stat(join(folder, file)).catch(() => null)),
    );
    const stats = found.find((one) => one?.isFile());
    if (!stats) continue;
    // A sparse file takes less than its length.
    const isPartial = stats === found[0];
    const size = isPartial ? Math.min(stats.size, BLOCK_BYTES * stats.blocks) : 0;
    yield { ...partial, size, storedAt: stats.mtimeMs };
  }
}
