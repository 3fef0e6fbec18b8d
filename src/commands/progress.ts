import { formatSize } from "../config/parsing/units.ts";
import { duration } from "./table.ts";

/** Work that takes less is done before anybody reads about it, in milliseconds. */
const QUIET_FOR = 1000;
/** Between two lines where they cannot be replaced, and where they can, in milliseconds. */
const EVERY = { terminal: 200, file: 10_000 };

export interface Done {
  readonly files: number;
  readonly bytes: number;
  readonly of?: { readonly files: number; readonly bytes: number };
}

/** One line on the error output that tells how far something is; on a terminal it replaces itself. */
export class ProgressLine {
  readonly #began = performance.now();
  readonly #isTerminal = process.stderr.isTTY;
  #shown = 0;

  show(done: Done): void {
    const now = performance.now();
    const every = this.#isTerminal ? EVERY.terminal : EVERY.file;
    if (now - this.#began < QUIET_FOR || now - this.#shown < every) return;
    this.#shown = now;
    const text = progressText(done, (now - this.#began) / 1000);
    process.stderr.write(this.#isTerminal ? `\r\u001B[K${text}` : `${text}\n`);
  }

  end(): void {
    if (this.#isTerminal && this.#shown > 0) process.stderr.write("\r\u001B[K");
  }
}

/** `120 of 4,000 files, 1.2 GiB of 40 GiB, 95 MiB/s, 7 min left` */
export function progressText({ files, bytes, of }: Done, seconds: number): string {
  const speed = seconds > 0 ? bytes / seconds : 0;
  const ofFiles = of ? ` of ${of.files}` : "";
  const ofBytes = of ? ` of ${formatSize(of.bytes)}` : "";
  const parts = [
    `${files}${ofFiles} ${files === 1 && !of ? "file" : "files"}`,
    `${formatSize(bytes)}${ofBytes}`,
    `${formatSize(Math.round(speed))}/s`,
  ];
  if (of && speed > 0) parts.push(`${duration((of.bytes - bytes) / speed)} left`);
  return parts.join(", ");
}
