import type { ImportedConfig, JobKind, Origin } from "../foreign/imported-config.ts";
import { type ReadText, UnreadableError } from "../parsing/read-text.ts";
import {
  jobKind,
  scriptJobKind,
  scriptsOf,
  STARTS_REGISTRY,
  startsRegistry,
} from "./job-command.ts";
import { shownCommand } from "./shown-command.ts";

const MAX_SCRIPT_BYTES = 256 * 1024;
const MAX_SCRIPTS = 8;

const NAME = String.raw`[\w*,/~#-]+`;
/** Minutes, hours and days of the month are numbers; months and days of the week may be names. */
const TIMES = new RegExp(
  String.raw`^\s*(?:@(?:reboot|yearly|annually|monthly|weekly|daily|midnight|hourly)|(?:[-\d*,/~]+\s+){3}${NAME}\s+${NAME})\s+(?=\S)`,
);
const VARIABLE = /^\s*["']?[A-Za-z_]\w*["']?\s*=/;
const COMMENT = /^\s*(?:#|$)/;
/** Crontabs of the system have the user between the times and the command. */
const OF_SYSTEM = /(?:^|\/)(?:cron\.d\/[^/]*|etc\/crontab)$/;
const USER = /^[a-z_][\w.-]*\$?\s+(?=\S)/i;

/**
 * Whether a file is a crontab: times and a command in each line that is no comment or variable. One without
 * a job is recognized by its name.
 */
export function isCrontab(name: string, text: string): boolean {
  const lines = linesOf(text).filter((line) => !COMMENT.test(line));
  const isJob = (line: string): boolean => TIMES.test(line);
  if (!lines.some(isJob) && !/cron/i.test(name)) return false;
  return lines.every((line) => isJob(line) || VARIABLE.test(line));
}

/** Notes the lines that restart containers or collect garbage, also in the scripts that they run. */
export function readCrontab(
  file: string,
  text: string,
  readFile: ReadText,
  imported: ImportedConfig,
): void {
  const scripts = scriptReader(readFile);
  for (const [index, line] of linesOf(text).entries()) {
    const times = COMMENT.test(line) ? undefined : TIMES.exec(line)?.[0];
    if (times === undefined) continue;
    const command = commandOf(line.slice(times.length), OF_SYSTEM.test(file));
    const from: Origin = { file, line: index + 1, column: 1, what: command };
    noteJob(command, from, scripts, imported);
  }
}

/** What a script does, and in which line; undefined if nothing that matters. Each is read once. */
type Scripts = (script: string) => { readonly kind: JobKind; readonly line: number } | undefined;

export function scriptReader(readFile: ReadText): Scripts {
  const known = new Map<string, ReturnType<Scripts>>();
  return (script) => {
    if (!known.has(script)) known.set(script, jobIn(textOf(script, readFile)));
    return known.get(script);
  };
}

function jobIn(text: string): ReturnType<Scripts> {
  const found = linesOf(text).flatMap((line, index) => {
    const kind = COMMENT.test(line) ? undefined : scriptJobKind(line);
    return kind === undefined ? [] : [{ kind, line: index + 1 }];
  });
  // A script that collects garbage stops and starts the registry around it.
  return found.find(({ kind }) => kind === "collects-garbage") ?? found[0];
}

/** Notes a job if it, or a script that it runs, is in the way of a migration. */
export function noteJob(
  command: string,
  at: Origin,
  scripts: Scripts,
  imported: ImportedConfig,
): void {
  const from = { ...at, what: shownCommand(at.what) };
  const kind = jobKind(command);
  if (kind !== undefined) {
    imported.jobs.push({ from, kind, script: undefined });
    if (startsRegistry(command)) imported.warn(from, STARTS_REGISTRY, "registry");
    return;
  }
  for (const script of scriptsOf(command).slice(0, MAX_SCRIPTS)) {
    const told = scripts(script);
    if (told) imported.jobs.push({ from, kind: told.kind, script: `${script}:${told.line}` });
  }
}

/** An unescaped `%` ends the command: what follows is its standard input. */
function commandOf(rest: string, hasUser: boolean): string {
  const [command = ""] = rest.split(/(?<!\\)%/);
  const own = command.replaceAll("\\%", "%").trim();
  return hasUser ? own.replace(USER, "") : own;
}

/** A script that cannot be read is none of the user's containers' concern: it is left out. */
function textOf(script: string, readFile: ReadText): string {
  try {
    return readFile(script, MAX_SCRIPT_BYTES);
  } catch (error) {
    if (error instanceof UnreadableError) return "";
    throw error;
  }
}

function linesOf(text: string): string[] {
  return text.split(/\r?\n/);
}
