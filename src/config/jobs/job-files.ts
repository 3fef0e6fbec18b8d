import type { ImportedConfig } from "../foreign/imported-config.ts";
import type { ReadText } from "../parsing/read-text.ts";
import { isCrontab, readCrontab } from "./crontab.ts";
import { isJobService, isTimer, readJobService, readTimer } from "./timer.ts";

/** Notes the jobs of a file in `imported`. */
export type JobReader = (
  file: string,
  text: string,
  readFile: ReadText,
  imported: ImportedConfig,
) => void;

/** How a file with jobs is read; undefined for any other file. */
export function jobReader(file: string, text: string): JobReader | undefined {
  if (isTimer(text)) return readTimer;
  if (isJobService(text)) return readJobService;
  return isCrontab(file, text) ? readCrontab : undefined;
}
