/** One line of a diff: unchanged, removed or added. */
export interface Line {
  readonly mark: " " | "-" | "+";
  readonly text: string;
}

const CONTEXT = 3;

/** A unified diff of two texts, as `diff -u` prints it. An absent file is shown as /dev/null. */
export function unifiedDiff(
  path: string,
  before: string | undefined,
  after: string | undefined,
): string {
  const lines = compareLines(split(before), split(after));
  const head = [
    `--- ${before === undefined ? "/dev/null" : path}`,
    `+++ ${after === undefined ? "/dev/null" : path}`,
  ];
  return [...head, ...hunks(lines)].join("\n");
}

function split(text: string | undefined): string[] {
  if (text === undefined || text === "") return [];
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  else lines.push(String.raw`\ No newline at end of file`);
  return lines;
}

/**
 * Compares lines by their longest common subsequence, after equal lines at both ends are set aside.
 * Its quadratic time and memory are acceptable for configuration files.
 */
export function compareLines(before: readonly string[], after: readonly string[]): Line[] {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start])
    start += 1;
  let end = 0;
  while (
    end < before.length - start &&
    end < after.length - start &&
    before[before.length - 1 - end] === after[after.length - 1 - end]
  ) {
    end += 1;
  }
  const a = before.slice(start, before.length - end);
  const b = after.slice(start, after.length - end);
  const lengths = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      const row = lengths[i];
      if (row === undefined) continue;
      row[j] =
        a[i] === b[j]
          ? (lengths[i + 1]?.[j + 1] ?? 0) + 1
          : Math.max(lengths[i + 1]?.[j] ?? 0, row[j + 1] ?? 0);
    }
  }
  const middle: Line[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      middle.push({ mark: " ", text: a[i] ?? "" });
      [i, j] = [i + 1, j + 1];
    } else if (
      i < a.length &&
      (j >= b.length || (lengths[i + 1]?.[j] ?? 0) >= (lengths[i]?.[j + 1] ?? 0))
    ) {
      middle.push({ mark: "-", text: a[i] ?? "" });
      i += 1;
    } else {
      middle.push({ mark: "+", text: b[j] ?? "" });
      j += 1;
    }
  }
  const same = (text: string): Line => ({ mark: " ", text });
  return [
    ...before.slice(0, start).map(same),
    ...middle,
    ...before.slice(before.length - end).map(same),
  ];
}

function hunks(lines: readonly Line[]): string[] {
  const near = lines.map((_, index) =>
    lines
      .slice(Math.max(0, index - CONTEXT), index + CONTEXT + 1)
      .some((line) => line.mark !== " "),
  );
  const result: string[] = [];
  let [before, after] = [1, 1];
  for (let index = 0; index < lines.length; index += 1) {
    if (near[index] && !near[index - 1]) {
      let end = index;
      while (near[end]) end += 1;
      const hunk = lines.slice(index, end);
      const removed = hunk.filter((line) => line.mark !== "+").length;
      const added = hunk.filter((line) => line.mark !== "-").length;
      const from = removed === 0 ? before - 1 : before;
      const to = added === 0 ? after - 1 : after;
      result.push(`@@ -${from},${removed} +${to},${added} @@`);
    }
    const line = lines[index];
    if (line === undefined) continue;
    if (near[index]) result.push(line.text.startsWith("\\") ? line.text : line.mark + line.text);
    if (line.mark !== "+") before += 1;
    if (line.mark !== "-") after += 1;
  }
  return result;
}
