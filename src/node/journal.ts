import { posix } from "node:path";
import { parseDocument } from "yaml";
import { z } from "zod";
import type { DurableFiles } from "./files/durable-files.ts";
import type { Position } from "./findings.ts";
import { formatPosition } from "./findings.ts";
import type { FileState, FileView } from "./files/node-files.ts";
import { readText } from "./files/node-files.ts";
import { sameState } from "./plan.ts";

export const DEFAULT_STATE_DIRECTORY = "/var/lib/entrepot/node";

/** The journal cannot be read or used. Nothing on the node is changed then. */
export class JournalError extends Error {
  override readonly name = "JournalError";

  constructor(
    readonly kind: "journal-damaged" | "journal-mismatch",
    readonly at: Position,
    readonly what: string,
    readonly advice: string,
    options?: ErrorOptions,
  ) {
    super(`${formatPosition(at)}: ${what}: ${advice}`, options);
  }
}

const storedFileSchema = z.strictObject({
  /** Plain text, so that an operator can restore it by hand. Bytes that are not UTF-8 go to `base64`. */
  text: z.string().optional(),
  base64: z.string().optional(),
  mode: z.number().int(),
  uid: z.number().int(),
  gid: z.number().int(),
});
type StoredFile = z.infer<typeof storedFileSchema>;

/** null: the file is absent. */
const stateSchema = z.union([storedFileSchema, z.null()]);

const entrySchema = z.strictObject({
  kind: z.enum(["config", "hosts", "copy"]),
  why: z.string(),
  /** The file before this tool changed it for the first time. */
  original: stateSchema,
  /** The file while the cache is healthy. */
  wired: stateSchema,
  /** The file while a watcher has removed the failing cache. */
  withoutCache: stateSchema,
  /** Other states in which this tool may have left the file, for example in an interrupted run. */
  others: z.array(stateSchema),
  /** Whether this tool created the file's directory, which is then removed together with the file. */
  madeDirectory: z.boolean(),
});

const generatedSchema = z.strictObject({ wired: stateSchema, withoutCache: stateSchema });

/** The format that is written. Format 1 has other names for two keys. */
const FORMAT = 2;

const documentSchema = z.strictObject({
  format: z.literal(FORMAT),
  about: z.string(),
  desired: z.strictObject({
    cache: z.string(),
    cacheCa: z.string().optional(),
    namespaces: z.array(z.string()),
    /** Whether a watcher follows the cache's list of namespaces. */
    all: z.boolean(),
    useDefault: z.boolean(),
    adopt: z.boolean(),
    replace: z.boolean(),
    dialTimeout: z.string(),
  }),
  /** Path of the main configuration file of the containerd that was wired. */
  main: z.string(),
  /** The directory that `config_path` names. */
  certsDir: z.string(),
  /** Parents of the hosts directories that this tool created. */
  madeDirectories: z.array(z.string()),
  /** Whether CRI was ready before the wiring. If it was not, a rollback does not require it. */
  wasAlive: z.boolean(),
  /** Whether the runtime still has to be restarted to load the configuration that is on disk. */
  restartDue: z.boolean(),
  /** The run that is in progress or was interrupted. */
  unfinished: z.enum(["apply", "rollback"]).nullable(),
  /** Whether a watcher has removed the failing cache from the files. */
  bypassed: z.boolean().optional(),
  /** The image that proved each registry by a pull. Absent in journals of earlier versions. */
  proofs: z.record(z.string(), z.string()).optional(),
  files: z.record(z.string(), entrySchema),
  /**
   * Files that the runtime made of what was written. A rollback has it make them anew; a watcher takes
   * the cache out of them while it fails.
   */
  generated: z.record(z.string(), generatedSchema).optional(),
});

const format1Schema = z.looseObject({
  format: z.literal(1),
  wish: z.unknown(),
  files: z.record(z.string(), z.looseObject({ out: z.unknown() })),
});

/** A journal of format 1 with the keys of this one. A node that was wired then can be rolled back. */
function upgrade(value: unknown): unknown {
  const old = format1Schema.safeParse(value);
  if (!old.success) return value;
  const { wish: desired, files, ...rest } = old.data;
  const entries = Object.entries(files).map(([path, { out: withoutCache, ...entry }]) => [
    path,
    { ...entry, withoutCache },
  ]);
  return { ...rest, format: FORMAT, desired, files: Object.fromEntries(entries) };
}

export type JournalDocument = z.infer<typeof documentSchema>;
export type JournalEntry = z.infer<typeof entrySchema>;

const ABOUT =
  "What `entrepot node apply` changed on this node. `original` holds each file as it was before. `entrepot node rollback` restores it.";

const DAMAGED =
  "repair it, because it holds the files as they were before the wiring (under `original`); or move it aside: wired files with other hosts than the cache then count as foreign files, which apply --adopt takes over";

/** JSON.parse gives no position. The YAML parser also reads JSON, and gives line and column. */
function locateSyntaxError(text: string): { position: Omit<Position, "file">; message: string } {
  const [error] = parseDocument(text, { uniqueKeys: false, prettyErrors: true }).errors;
  const [start] = error?.linePos ?? [];
  if (error === undefined || start === undefined) {
    return { position: {}, message: text.trim() === "" ? "it is empty" : "it cannot be parsed" };
  }
  const [message = ""] = error.message.split("\n");
  return {
    position: { line: start.line, column: start.col },
    message: message.replace(/ at line \d+, column \d+:?$/, ""),
  };
}

/** The record of everything that this tool changed on a node: one JSON file, replaced atomically. */
export class Journal {
  readonly path: string;
  readonly #view: FileView;
  readonly #durable: DurableFiles;

  constructor(stateDirectory: string, view: FileView, durable: DurableFiles) {
    this.path = posix.join(stateDirectory, "journal.json");
    this.#view = view;
    this.#durable = durable;
  }

  /**
   * Undefined if there is no journal.
   *
   * @throws JournalError if it cannot be parsed or has another format, FilesFault if it cannot be read.
   */
  read(): JournalDocument | undefined {
    const text = readText(this.#view, this.path);
    if (text === undefined) return undefined;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      const { position, message } = locateSyntaxError(text);
      throw new JournalError(
        "journal-damaged",
        { file: this.path, ...position },
        `it is not valid JSON: ${message}`,
        DAMAGED,
        { cause },
      );
    }
    const parsed = documentSchema.safeParse(upgrade(value));
    if (parsed.success) return parsed.data;
    const [issue] = parsed.error.issues;
    const field = issue && issue.path.length > 0 ? `${issue.path.join(".")}: ` : "";
    const what = `it has another format version or is damaged: ${field}${issue?.message ?? "unexpected format"}`;
    throw new JournalError("journal-damaged", { file: this.path }, what, DAMAGED, {
      cause: parsed.error,
    });
  }

  /**
   * Returns once the journal is on disk.
   *
   * @throws FilesFault
   */
  write(journal: Omit<JournalDocument, "format" | "about">): void {
    const text = `${JSON.stringify({ format: FORMAT, about: ABOUT, ...journal }, undefined, 2)}\n`;
    // Configurations may contain credentials: only root may read the copies.
    const bytes = new TextEncoder().encode(text);
    this.#durable.write(this.path, { bytes, mode: 0o600, uid: 0, gid: 0 });
  }

  remove(): void {
    this.#durable.remove(this.path, false);
  }
}

/** The form of a file in the journal; null for an absent file. */
export function toStored(state: FileState | undefined): StoredFile | null {
  if (state === undefined) return null;
  const { mode, uid, gid } = state;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(state.bytes);
    return { text, mode, uid, gid };
  } catch {
    return { base64: Buffer.from(state.bytes).toString("base64"), mode, uid, gid };
  }
}

export function fromStored(stored: StoredFile | null): FileState | undefined {
  if (stored === null) return undefined;
  const { mode, uid, gid } = stored;
  const bytes =
    stored.base64 === undefined
      ? new TextEncoder().encode(stored.text ?? "")
      : new Uint8Array(Buffer.from(stored.base64, "base64"));
  return { bytes, mode, uid, gid };
}

/** Whether a file may be changed or restored: this tool has left it so, or it was removed since. */
export function isUnmodified(entry: JournalEntry, current: FileState | undefined): boolean {
  return [entry.wired, entry.withoutCache, ...entry.others].some((stored) =>
    sameState(fromStored(stored), current),
  );
}

/**
 * Whether a watcher has removed the failing cache from a file. A file that had nothing but the cache is
 * absent then: without `bypassed`, something else has removed it.
 */
export function isWithoutCache(
  journal: Pick<JournalDocument, "bypassed">,
  entry: JournalEntry,
  current: FileState | undefined,
): boolean {
  const withoutCache = fromStored(entry.withoutCache);
  const isMirror = entry.kind === "hosts" && !sameState(fromStored(entry.wired), withoutCache);
  const isKnown = withoutCache !== undefined || journal.bypassed === true;
  return isMirror && isKnown && sameState(current, withoutCache);
}

/** Paths of the files from which a watcher has removed the failing cache. */
export function hostsFilesWithoutCache(journal: JournalDocument, view: FileView): string[] {
  const written = Object.entries(journal.files).filter(([path, entry]) =>
    isWithoutCache(journal, entry, view.read(path)),
  );
  const generated = Object.entries(journal.generated ?? {}).filter(([path, { withoutCache }]) =>
    sameState(view.read(path), fromStored(withoutCache)),
  );
  return [...written, ...generated].map(([path]) => path);
}
