import { expect, test } from "bun:test";
import { stat } from "node:fs/promises";
import { tempDir } from "../../test/harness/places.ts";
import { until } from "../../test/harness/waiting.ts";
import { LOG_PAGES } from "./checkpointer.ts";
import { digestNumber } from "./index-conformance.ts";
import { openIndex } from "./open-index.ts";
import { isSealed } from "./seal.ts";

test("the log goes into the file beside those who write and read, and the end is in good order", async () => {
  await using dir = await tempDir("index");
  const path = dir.file("index.db");
  const index = await openIndex(path);
  const written = async (): Promise<number> => (await stat(path)).size;
  const before = await written();
  const count = LOG_PAGES / 2;
  for (let at = 0; at < count; at += 1) {
    await index.contents.put({ digest: digestNumber(at), size: at }, at);
  }
  // SQLite itself would do it only after a log that is twice as long as this one.
  await until(async () => (await written()) > before + 100_000, {
    what: "the log to be in the file",
  });
  expect((await index.contents.total()).count).toBe(count);
  await index.close();
  expect(isSealed(path)).toBe(true);
});
