import { formatSize } from "../config/parsing/units.ts";
import { duration } from "./table.ts";

/** Shorter work shows no progress, in milliseconds. */
const DELAY = 1000;
/** Time between two updates, in milliseconds: on a terminal, which replaces the line, and in a file. */
const INTERVAL = { terminal: 200, file: 10_000 };

/** The progress of a long operation. */
export interface Progress {
  readonly files: number;
  readonly bytes: number;
  /** The totals, if they are known. */
  readonly of?: { readonly files: number; readonly bytes: number };
}

/** Shows progress on standard error: one line that replaces itself, or lines if it is no terminal. */
export class ProgressLine {
  readonly #startedAt = performance.now();
  readonly #isTerminal = process.stderr.isTTY;
  readonly #label: string;
  #shownAt = 0;

  /** @param label before the figures */
  constructor(label = "") {
    this.#label = label;
  }

  show(progress: Progress): void {
    this.tell((seconds) => progressText(progress, seconds));
  }

  /** @param text made only if it is shown, from the seconds since the start */
  tell(text: (seconds: number) => string): void {
    const now = performance.now();
    const interval = this.#isTerminal ? INTERVAL.terminal : INTERVAL.file;
    if (now - this.#startedAt < DELAY || now - this.#shownAt < interval) return;
    this.#shownAt = now;
    const line = this.#label + text((now - this.#startedAt) / 1000);
    // One that is wider than the terminal would leave its rest there.
    const width = process.stderr.columns || Infinity;
    process.stderr.write(this.#isTerminal ? `\r\u001B[K${line.slice(0, width - 1)}` : `${line}\n`);
  }

  end(): void {
    if (this.#isTerminal && this.#shownAt > 0) process.stderr.write("\r\u001B[K");
  }
}

/** `120 of 4000 files, 1.2 GiB of 40 GiB, 95 MiB/s, 7 min left` */
export function progressText({ files, bytes, of }: Progress, seconds: number): string {
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
