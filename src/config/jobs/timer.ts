import path from "node:path";
import type { ImportedConfig, Origin } from "../foreign/imported-config.ts";
import { type ReadText, UnreadableError } from "../parsing/read-text.ts";
import { noteJob, scriptReader } from "./crontab.ts";
import { jobKind, MAX_COMMAND } from "./job-command.ts";

const MAX_UNIT_BYTES = 256 * 1024;
const COMMANDS = ["ExecStart", "ExecStartPre", "ExecStartPost", "ExecStop", "ExecStopPost"];
const RUNS_CONTAINER = /\b(?:docker|podman|nerdctl)\b.*\s(?:run|create)\s/;

/** Whether a text is a timer of systemd. */
export function isTimer(text: string): boolean {
  return /^\s*\[Timer\]\s*$/m.test(text);
}

/**
 * Whether a text is a service of systemd that does a job and ends. `docker start -a hub` in a service that
 * goes on is how a registry runs.
 */
export function isJobService(text: string): boolean {
  if (!/^\s*\[Service\]\s*$/m.test(text)) return false;
  if (entriesOf(text, ["Type"]).at(-1)?.value !== "oneshot") return false;
  const commands = commandsOf(text);
  return (
    commands.some(({ command }) => jobKind(command) !== undefined) &&
    !commands.some(({ command }) => RUNS_CONTAINER.test(command.slice(0, MAX_COMMAND)))
  );
}

/** Notes a timer whose service restarts containers or collects garbage. The service is read beside it. */
export function readTimer(
  file: string,
  text: string,
  readFile: ReadText,
  imported: ImportedConfig,
): void {
  const own = `${path.basename(file, path.extname(file))}.service`;
  const unit = entriesOf(text, ["Unit"]).at(-1)?.value ?? own;
  const service = path.join(path.dirname(file), path.basename(unit));
  try {
    readJobService(service, readFile(service, MAX_UNIT_BYTES), readFile, imported);
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    const from: Origin = { file, line: 1, column: 1, what: unit };
    const reason = `${service} ${error.message}: if it restarts one of the registries, disable the timer`;
    imported.skip(from, reason);
  }
}

/** Notes the commands of a service that restart containers or collect garbage. */
export function readJobService(
  file: string,
  text: string,
  readFile: ReadText,
  imported: ImportedConfig,
): void {
  const scripts = scriptReader(readFile);
  for (const { command, line } of commandsOf(text)) {
    noteJob(command, { file, line, column: 1, what: command }, scripts, imported);
  }
}

function commandsOf(text: string): { readonly command: string; readonly line: number }[] {
  return entriesOf(text, COMMANDS).map(({ value, line }) => ({
    // Prefixes of systemd, such as `-` for a command that may fail.
    command: value.replace(/^[-@:+!]+/, ""),
    line,
  }));
}

/** The values of keys, with the line in which each begins: a backslash continues it in the next one. */
function entriesOf(
  text: string,
  keys: readonly string[],
): { readonly value: string; readonly line: number }[] {
  const found: { readonly value: string; readonly line: number }[] = [];
  let started: { text: string; line: number } | undefined;
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const current = started ?? { text: "", line: index + 1 };
    current.text += raw.endsWith("\\") ? `${raw.slice(0, -1)} ` : raw;
    started = raw.endsWith("\\") ? current : undefined;
    if (started) continue;
    const [key = "", ...rest] = current.text.split("=");
    const value = rest.join("=").trim();
    if (keys.includes(key.trim()) && value !== "") found.push({ value, line: current.line });
  }
  return found;
}
