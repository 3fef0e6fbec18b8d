import path from "node:path";
import type { ImportedConfig, Origin } from "../foreign/imported-config.ts";
import { type ReadText, UnreadableError } from "../parsing/read-text.ts";
import { noteJob, scriptReader } from "./crontab.ts";

const MAX_UNIT_BYTES = 256 * 1024;
const SECTION = /^\s*\[Timer\]\s*$/m;

/** Whether a text is a timer of systemd. */
export function isTimer(text: string): boolean {
  return SECTION.test(text);
}

/** Notes a timer whose service restarts containers or collects garbage. The service is read beside it. */
export function readTimer(
  file: string,
  text: string,
  readFile: ReadText,
  imported: ImportedConfig,
): void {
  const own = `${path.basename(file, path.extname(file))}.service`;
  const unit = entriesOf(text, "Unit").at(-1)?.value ?? own;
  const service = path.join(path.dirname(file), path.basename(unit));
  let serviceText: string;
  try {
    serviceText = readFile(service, MAX_UNIT_BYTES);
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    const from: Origin = { file, line: 1, column: 1, what: unit };
    imported.skip(
      from,
      `${service} ${error.message}: if it restarts one of the registries, disable the timer`,
    );
    return;
  }
  const scripts = scriptReader(readFile);
  for (const { value, line } of entriesOf(serviceText, "ExecStart(?:Pre|Post)?")) {
    // Prefixes of systemd, such as `-` for a command that may fail.
    const command = value.replace(/^[-@:+!]+/, "");
    const from: Origin = { file: service, line, column: 1, what: command };
    noteJob(command, from, scripts, imported);
  }
}

/** The values of a key, with the line in which each begins: a backslash continues it in the next one. */
function entriesOf(text: string, key: string): { readonly value: string; readonly line: number }[] {
  const pattern = new RegExp(String.raw`^\s*${key}\s*=\s*(.*\S)\s*$`);
  const found: { readonly value: string; readonly line: number }[] = [];
  let started: { text: string; line: number } | undefined;
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const current = started ?? { text: "", line: index + 1 };
    current.text += raw.endsWith("\\") ? `${raw.slice(0, -1)} ` : raw;
    started = raw.endsWith("\\") ? current : undefined;
    const value = started ? undefined : pattern.exec(current.text)?.[1];
    if (value !== undefined) found.push({ value, line: current.line });
  }
  return found;
}
