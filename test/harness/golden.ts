import { expect } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const FOLDER = join(dirname(import.meta.dir), "golden");

/**
 * Compares a text with the golden file of this name in test/golden. After an intended change, run with
 * ENTREPOT_GOLDEN=write to update the files, then review and commit the difference.
 */
export function expectGolden(name: string, text: string): void {
  const file = join(FOLDER, name);
  if (process.env["ENTREPOT_GOLDEN"] === "write") {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  expect(existsSync(file) ? readFileSync(file, "utf8") : `(test/golden/${name} is missing)`).toBe(
    text,
  );
}

/** Several files as one text, in the format in which `render` prints them. */
export function asOne(files: readonly { readonly path: string; readonly text: string }[]): string {
  return files.map(({ path, text }) => `### ${path}\n${text}`).join("\n");
}
