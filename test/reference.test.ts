import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import path from "node:path";
import { referencePages } from "../scripts/reference/pages.ts";

const root = path.dirname(import.meta.dir);

test("the generated pages of docs/reference are current (npm run docs writes them)", async () => {
  const pages = await referencePages();
  const onDisk = Object.fromEntries(
    Object.keys(pages).map((name) => [name, readFileSync(path.join(root, name), "utf8")]),
  );
  expect(onDisk).toEqual(pages);
});
