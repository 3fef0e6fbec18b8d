import { constants } from "node:fs";
import { type FileHandle, open, readFile, rename, unlink } from "node:fs/promises";
import { z } from "zod";
import type { Event } from "./event.ts";

/** Of one receiver. Beyond it, the oldest goes: what happens now says more. */
export const MAX_QUEUED = 1000;
/** Lines after which the file is written anew, with what is queued alone. */
const MAX_LINES = 4 * MAX_QUEUED;
/** A larger file is not of this program. */
const MAX_BYTES = 64 * 1024 * 1024;

const eventSchema = z.object({
  id: z.string(),
  type: z.string(),
  subject: z.string().optional(),
  at: z.number(),
  data: z.record(z.string(), z.unknown()),
});
const lineSchema = z.union([z.object({ add: eventSchema }), z.object({ done: z.string() })]);

export interface EventQueueOptions {
  readonly path: string;
  /** Called when the file cannot be written. What is queued is in memory, and written later. */
  readonly onError: (error: unknown) => void;
}

/**
 * The events that a receiver has not got yet, in the order in which they happened: in memory, and in a file to
 * which each change is appended as a line, so that a crash leaves at most its last line incomplete.
 */
export class EventQueue implements AsyncDisposable {
  readonly #options: EventQueueOptions;
  readonly #events: Map<string, Event>;
  #file: FileHandle | undefined;
  /** In the file. */
  #lines = 0;
  #unwritten: string[] = [];
  #writing: Promise<void> | undefined;
  #dropped = 0;

  private constructor(options: EventQueueOptions, events: Map<string, Event>) {
    this.#options = options;
    this.#events = events;
  }

  /** Opens the queue with what an earlier process has left. */
  static async open(options: EventQueueOptions): Promise<EventQueue> {
    const queue = new EventQueue(options, await readEvents(options));
    await queue.#rewrite().catch(options.onError);
    return queue;
  }

  get size(): number {
    return this.#events.size;
  }

  /** How many were dropped since the start, since newer ones took their place. */
  get dropped(): number {
    return this.#dropped;
  }

  /** The oldest one. */
  get first(): Event | undefined {
    for (const event of this.#events.values()) return event;
    return undefined;
  }

  add(event: Event): void {
    this.#events.set(event.id, event);
    this.#append(JSON.stringify({ add: event }));
    const { first } = this;
    if (!first || this.#events.size <= MAX_QUEUED) return;
    this.#dropped += 1;
    this.remove(first.id);
  }

  /** Its receiver has got it, or never will. */
  remove(id: string): void {
    if (this.#events.delete(id)) this.#append(JSON.stringify({ done: id }));
  }

  /** Resolves once all changes until now are in the file, or cannot be. */
  async written(): Promise<void> {
    while (this.#writing) await this.#writing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.written();
    // What could not be written while the disk was full, for example.
    if (!this.#file) await this.#rewrite().catch(this.#options.onError);
    await this.#file?.close();
  }

  #append(line: string): void {
    this.#unwritten.push(line);
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  async #write(): Promise<void> {
    while (this.#unwritten.length > 0) {
      const lines = this.#unwritten;
      this.#unwritten = [];
      try {
        if (!this.#file || this.#lines + lines.length > MAX_LINES) {
          await this.#rewrite();
          continue;
        }
        await this.#file.appendFile(lines.map((line) => `${line}\n`).join(""));
        this.#lines += lines.length;
      } catch (error) {
        // A part of it may be in the file: the next change writes it anew.
        await this.#file?.close().catch(() => {});
        this.#file = undefined;
        this.#options.onError(error);
        return;
      }
    }
  }

  /** Writes the file anew beside the old one, and puts it in its place. */
  async #rewrite(): Promise<void> {
    const { path } = this.#options;
    const temporary = `${path}.new`;
    await unlink(temporary).catch(() => {});
    // Exclusive: it is never written through a link.
    const file = await open(
      temporary,
      constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_APPEND,
      0o600,
    );
    const events = [...this.#events.values()];
    try {
      await file.appendFile(events.map((event) => `${JSON.stringify({ add: event })}\n`).join(""));
      await rename(temporary, path);
    } catch (error) {
      await file.close();
      throw error;
    }
    await this.#file?.close();
    this.#file = file;
    this.#lines = events.length;
  }
}

/** Of a file that cannot be read, there is nothing; of one with other lines, what is readable. */
async function readEvents({ path, onError }: EventQueueOptions): Promise<Map<string, Event>> {
  const events = new Map<string, Event>();
  let text: string;
  try {
    const file = Bun.file(path);
    if (!(await file.exists()) || file.size > MAX_BYTES) return events;
    text = await readFile(path, "utf8");
  } catch (error) {
    onError(error);
    return events;
  }
  for (const line of text.split("\n")) {
    const change = lineOf(line);
    if (!change) continue;
    if ("add" in change) events.set(change.add.id, change.add);
    else events.delete(change.done);
  }
  return events;
}

function lineOf(line: string): z.infer<typeof lineSchema> | undefined {
  try {
    return lineSchema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}
