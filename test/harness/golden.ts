import { expect } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const FOLDER = join(dirname(import.meta.dir), "golden");

/**
 * Compares a text with the one that is kept under test/golden. After a wanted change, a run with
 * ENTREPOT_GOLDEN=write keeps what is there now, for the difference to be read and committed.
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

/** Several files as one text, in the form in which `render` prints them. */
export function asOne(files: readonly { readonly path: string; readonly text: string }[]): string {
  return files.map(({ path, text }) => `### ${path}\n${text}`).join("\n");
}
