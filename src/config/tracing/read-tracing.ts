import path from "node:path";
import { type ReadText, UnreadableError } from "../parsing/read-text.ts";
import type { Path } from "../parsing/yaml-source.ts";
import { HeaderError, parseHeaders } from "./headers.ts";
import type { TracingEntry } from "./tracing-schema.ts";
import type { TracingSettings } from "./tracing-settings.ts";

const DEFAULT_SAMPLE = 0.01;
export const MAX_HEADERS_BYTES = 16 * 1024;

export interface TracingContext {
  /** The folder that a relative path is relative to. */
  readonly folder: string;
  readonly readFile: ReadText;
  /** The text of `ca`. */
  readonly ca?: string | undefined;
  readonly report: (at: Path, message: string, subject: "key" | "value") => void;
}

/** Reads `tracing` of the configuration. Problems are reported. */
export function readTracing(
  { endpoint, sample = DEFAULT_SAMPLE, headersFile }: TracingEntry,
  { folder, readFile, report, ca }: TracingContext,
): TracingSettings {
  const plain = { endpoint, sample, ...(ca === undefined ? {} : { ca }) };
  if (headersFile === undefined) return plain;
  const file = path.resolve(folder, headersFile);
  try {
    parseHeaders(readFile(file, MAX_HEADERS_BYTES));
  } catch (error) {
    if (!(error instanceof UnreadableError || error instanceof HeaderError)) throw error;
    report(["tracing", "headersFile"], `${file} ${error.message}`, "value");
  }
  return { ...plain, headersFile: file };
}
