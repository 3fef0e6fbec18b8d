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

/** A journal that cannot be read or used; nothing is touched then. */
export class JournalError extends Error {
  override readonly name = "JournalError";

  constructor(
    readonly kind: "journal-damaged" | "journal-of-another",
    readonly at: Position,
    readonly what: string,
    readonly advice: string,
    options?: ErrorOptions,
  ) {
    super(`${formatPosition(at)}: ${what}: ${advice}`, options);
  }
}

const storedFile = z.strictObject({
  /** Text as it is, so that a person can put it back by hand; other bytes in base64. */
  text: z.string().optional(),
  base64: z.string().optional(),
  mode: z.number().int(),
  uid: z.number().int(),
  gid: z.number().int(),
});
type StoredFile = z.infer<typeof storedFile>;

const absent = z.null();
const content = z.union([storedFile, absent]);

const entry = z.strictObject({
  kind: z.enum(["config", "hosts", "copy"]),
  why: z.string(),
  /** As it was before this tool touched it for the first time; null: it was not there. */
  original: content,
  /** As it has to be while the cache is well. */
  wired: content,
  /** As it has to be while the cache is taken out. */
  out: content,
  /** Other contents that this tool may have left: those of a run that was cut short. */
  others: z.array(content),
  /** Whether its directory came with it and goes with it. */
  madeDirectory: z.boolean(),
});

const document = z.strictObject({
  format: z.literal(1),
  about: z.string(),
  wish: z.strictObject({
    cache: z.string(),
    cacheCa: z.string().optional(),
    namespaces: z.array(z.string()),
    /** Whether the cache's list of namespaces is followed. */
    all: z.boolean(),
    useDefault: z.boolean(),
    adopt: z.boolean(),
    replace: z.boolean(),
    dialTimeout: z.string(),
  }),
  main: z.string(),
  certsDir: z.string(),
  /** Directories above hosts directories that this tool made. */
  madeDirectories: z.array(z.string()),
  /** Whether the runtime answered before the wiring: what it is brought back to need not be more. */
  wasAlive: z.boolean(),
  /** The runtime has yet to be restarted to go by the configuration as it is on disk. */
  restartDue: z.boolean(),
  /** Whether a run is under way, or was cut short. */
  unfinished: z.enum(["apply", "rollback"]).nullable(),
  files: z.record(z.string(), entry),
});

export type JournalDocument = z.infer<typeof document>;
export type JournalEntry = z.infer<typeof entry>;

const ABOUT =
  "What `entrepot node apply` changed on this node, with the bytes from before under `original`. `entrepot node rollback` puts them back.";

const DAMAGED =
  "put it right, since it holds the bytes from before the wiring (under `original`); or move it aside, and what is wired then counts as somebody else's (apply --adopt takes it in)";

/** JSON.parse says only that something is wrong; YAML's parser reads JSON and says where. */
function placeOfDamage(text: string): { place: Omit<Position, "file">; message: string } {
  const [error] = parseDocument(text, { uniqueKeys: false, prettyErrors: true }).errors;
  const [start] = error?.linePos ?? [];
  if (error === undefined || start === undefined) {
    return { place: {}, message: text.trim() === "" ? "it is empty" : "it cannot be read" };
  }
  const [message = ""] = error.message.split("\n");
  return {
    place: { line: start.line, column: start.col },
    message: message.replace(/ at line \d+, column \d+:?$/, ""),
  };
}

/** The record of everything that this tool changed on a node: one file, replaced as a whole. */
export class Journal {
  readonly path: string;
  readonly #view: FileView;
  readonly #durable: DurableFiles;

  constructor(stateDirectory: string, view: FileView, durable: DurableFiles) {
    this.path = posix.join(stateDirectory, "journal.json");
    this.#view = view;
    this.#durable = durable;
  }

  /** @throws JournalError where it is there and cannot be understood. */
  read(): JournalDocument | undefined {
    const text = readText(this.#view, this.path);
    if (text === undefined) return undefined;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      const { place, message } = placeOfDamage(text);
      throw new JournalError(
        "journal-damaged",
        { file: this.path, ...place },
        `it is no JSON: ${message}`,
        DAMAGED,
        { cause },
      );
    }
    const read = document.safeParse(value);
    if (read.success) return read.data;
    const [issue] = read.error.issues;
    const where = issue && issue.path.length > 0 ? `${issue.path.join(".")}: ` : "";
    const what = `it is of another version or damaged: ${where}${issue?.message ?? "another form"}`;
    throw new JournalError("journal-damaged", { file: this.path }, what, DAMAGED, {
      cause: read.error,
    });
  }

  /** Returns only once it is on the disk. */
  write(journal: Omit<JournalDocument, "format" | "about">): void {
    const text = `${JSON.stringify({ format: 1, about: ABOUT, ...journal }, undefined, 2)}\n`;
    // Configurations may hold credentials: nobody else reads their copies.
    const bytes = new TextEncoder().encode(text);
    this.#durable.write(this.path, { bytes, mode: 0o600, uid: 0, gid: 0 });
  }

  remove(): void {
    this.#durable.remove(this.path, false);
  }
}

export function store(state: FileState | undefined): StoredFile | null {
  if (state === undefined) return null;
  const { mode, uid, gid } = state;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(state.bytes);
    return { text, mode, uid, gid };
  } catch {
    return { base64: Buffer.from(state.bytes).toString("base64"), mode, uid, gid };
  }
}

export function restore(stored: StoredFile | null): FileState | undefined {
  if (stored === null) return undefined;
  const { mode, uid, gid } = stored;
  const bytes =
    stored.base64 === undefined
      ? new TextEncoder().encode(stored.text ?? "")
      : new Uint8Array(Buffer.from(stored.base64, "base64"));
  return { bytes, mode, uid, gid };
}

/** Whether a file is still as this tool left it, so that it may be changed or put back. */
export function isOurs(journalled: JournalEntry, current: FileState | undefined): boolean {
  return [journalled.wired, journalled.out, ...journalled.others].some((stored) =>
    sameState(restore(stored), current),
  );
}

/**
 * Files as they were before the wiring, as far as they are still ours; what somebody has changed
 * since shows as it is now.
 */
export function originals(
  journal: JournalDocument | undefined,
  view: FileView,
): Map<string, FileState | undefined> {
  const found = new Map<string, FileState | undefined>();
  for (const [path, journalled] of Object.entries(journal?.files ?? {})) {
    if (isOurs(journalled, view.read(path))) found.set(path, restore(journalled.original));
  }
  return found;
}

/** The hosts.toml files that the cache is out of, as a watcher leaves them while it fails. */
export function removedFrom(journal: JournalDocument, view: FileView): string[] {
  return Object.entries(journal.files).flatMap(([path, { kind, wired, out }]) => {
    const isMirror = kind === "hosts" && !sameState(restore(wired), restore(out));
    return isMirror && sameState(view.read(path), restore(out)) ? [path] : [];
  });
}
