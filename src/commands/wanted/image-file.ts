import { MAX_SELECTOR, parseImageSelector } from "../../config/warm/image-selector.ts";
import { ConfigError, type Problem, quote, sortProblems } from "../../config/parsing/problems.ts";
import { readText, type ReadText, UnreadableError } from "../../config/parsing/read-text.ts";

const MAX_BYTES = 1024 * 1024;

/**
 * The images that a file lists: one in each line, with comments after #.
 *
 * @param name `-` for standard input
 * @throws ConfigError with the place of each line that is no image
 */
export function readImageFile(name: string, readFile: ReadText = readText): string[] {
  const text = read(name, readFile);
  const problems: Problem[] = [];
  const images: string[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    // No name has a #; a carriage return is that of Windows.
    const written = line.replace(/#.*$/s, "").trim();
    if (written === "") continue;
    const parsed = parseImageSelector(written);
    if (typeof parsed !== "string") images.push(written);
    else {
      const column = line.length - line.trimStart().length + 1;
      const message = `${quote(written.slice(0, MAX_SELECTOR))} ${parsed}`;
      problems.push({ file: name, line: index + 1, column, message });
    }
  }
  if (problems.length > 0) throw new ConfigError(sortProblems(problems.slice(0, 20)));
  return images;
}

function read(name: string, readFile: ReadText): string {
  try {
    return readFile(name === "-" ? "/dev/stdin" : name, MAX_BYTES);
  } catch (cause) {
    if (!(cause instanceof UnreadableError)) throw cause;
    throw new ConfigError([{ message: `--file: ${quote(name)} ${cause.message}` }], { cause });
  }
}
