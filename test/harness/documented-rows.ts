import { readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");

/** The rows of those tables of a document that have so many columns, without their heads. */
export function documentedRows(document: string, columns: number): string[][] {
  const lines = readFileSync(join(ROOT, document), "utf8").split("\n");
  return lines.flatMap((line, index) => {
    const isRow = line.startsWith("| ") && !/^[|\s-]+$/.test(line);
    const isHead = /^\|[|\s-]+$/.test(lines[index + 1] ?? "");
    if (!isRow || isHead) return [];
    const cells = line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim());
    return cells.length === columns ? [cells] : [];
  });
}
