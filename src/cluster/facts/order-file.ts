import { writeFile } from "node:fs/promises";
import { z } from "zod";
import { readJson } from "../../store/sidecars/json-file.ts";
import { removeFile } from "../../store/remove-file.ts";
import { renameOver } from "../../store/replace-file.ts";
import { type OrderId, parseOrderId } from "../ledger/facts.ts";
import { OVERRIDE } from "../ledger/override-ages.ts";
import { isOverrideOrder, type TimedOrder } from "./timed-order.ts";

/** How many orders of a pattern are known by name. Older ones are recognized by their time. */
const MAX_IDS = 16;
/** Patterns whose orders are known, and orders that are still to be told. */
const MAX_PATTERNS = 4096;

/** What is known of a pattern: pins and unpins in one entry, purges in another one; and of an override. */
interface Known {
  readonly key: string;
  readonly pattern: string;
  /** When the latest was given. */
  readonly at: number;
  readonly ids: readonly OrderId[];
  /** Of an override: set once one of them has ended it. */
  readonly isEnded?: boolean | undefined;
}

const id = z.string().transform((text, context) => {
  const parsed = parseOrderId(text);
  if (parsed) return parsed;
  context.addIssue({ code: "custom", message: "not the name of an order" });
  return z.NEVER;
});
const schema = z.object({
  untold: z.array(
    z.object({
      kind: z.enum(["pin", "unpin", "purge"]),
      id,
      pattern: z.string(),
      platforms: z.array(z.string()),
      at: z.number(),
    }),
  ),
  // Apart from the others: an earlier version passes over it.
  untoldOverrides: z
    .array(z.object({ kind: z.literal("override"), id, override: OVERRIDE, at: z.number() }))
    .default([]),
  known: z.array(
    z.object({
      key: z.string(),
      pattern: z.string(),
      at: z.number(),
      ids: z.array(id),
      isEnded: z.boolean().optional(),
    }),
  ),
});

/**
 * The orders that this replica was given or has carried out, in a file. A later order replaces an earlier one
 * of the same kind and pattern, so that the file stays small.
 */
export class OrderFile {
  readonly #path: string;
  readonly #untold: Map<string, TimedOrder>;
  readonly #known: Map<string, Known>;
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, { untold, untoldOverrides, known }: z.infer<typeof schema>) {
    this.#path = path;
    const orders: readonly TimedOrder[] = [...untold, ...untoldOverrides];
    this.#untold = new Map(orders.map((order) => [keyOf(order), order]));
    this.#known = new Map(known.map((entry) => [entry.key, entry]));
  }

  /**
   * What is no such file counts as none. `isNew`: there was none.
   *
   * @param onFailed called with why it cannot be read: then nothing in it is known
   */
  static async open(
    path: string,
    onFailed: (error: unknown) => void,
  ): Promise<{ readonly file: OrderFile; readonly isNew: boolean }> {
    let isRead = true;
    const text = await readJson(path).catch((error: unknown) => {
      isRead = false;
      onFailed(error);
    });
    const found = schema.safeParse(text);
    const content = found.data ?? { untold: [], untoldOverrides: [], known: [] };
    return { file: new OrderFile(path, content), isNew: isRead && !found.success };
  }

  /** What is still to be told, in the order in which it was given. */
  get untold(): readonly TimedOrder[] {
    return [...this.#untold.values()];
  }

  /** The latest purges. */
  get purges(): readonly { readonly pattern: string; readonly at: number }[] {
    return [...this.#known.values()].filter(({ key }) => key.startsWith("purge "));
  }

  /** Whether an order was given here, was carried out, or came before one of these. */
  isKnown(order: TimedOrder): boolean {
    const known = this.#known.get(keyOf(order));
    if (!known) return false;
    if (known.ids.includes(order.id)) return true;
    const [wasEnded, isEnd] = [known.isEnded === true, endsOverride(order)];
    return wasEnded === isEnd ? order.at < known.at : wasEnded;
  }

  /** This replica has carried an order out. */
  done(order: TimedOrder): Promise<void> {
    this.#note(order);
    return this.#write();
  }

  /** This replica was given an order, has carried it out, and has to tell it. */
  given(orders: readonly TimedOrder[]): Promise<void> {
    for (const order of orders) {
      this.#note(order);
      this.#untold.delete(keyOf(order));
      this.#untold.set(keyOf(order), order);
      dropOldest(this.#untold);
    }
    return this.#write();
  }

  /** An order is told. */
  told(order: TimedOrder): Promise<void> {
    if (this.#untold.get(keyOf(order))?.id === order.id) this.#untold.delete(keyOf(order));
    return this.#write();
  }

  #note(order: TimedOrder): void {
    const key = keyOf(order);
    const before = this.#known.get(key);
    const ids = [...(before?.ids ?? []), order.id].slice(-MAX_IDS);
    const at = Math.max(order.at, before?.at ?? order.at);
    this.#known.delete(key);
    const isEnded = before?.isEnded === true || endsOverride(order);
    const pattern = isOverrideOrder(order) ? order.override.pattern : order.pattern;
    this.#known.set(key, { key, pattern, at, ids, ...(isEnded && { isEnded }) });
    dropOldest(this.#known);
  }

  /** @throws the error of the file system */
  #write(): Promise<void> {
    this.#writing = this.#writing.catch(() => {}).then(() => this.#writeNow());
    return this.#writing;
  }

  async #writeNow(): Promise<void> {
    const untoldOverrides = this.untold.filter(isOverrideOrder);
    const untold = this.untold.filter((order) => !isOverrideOrder(order));
    const text = JSON.stringify({ untold, untoldOverrides, known: [...this.#known.values()] });
    const temporary = `${this.#path}.new`;
    try {
      await removeFile(temporary);
      // Never through a link; and it is on the disk when this has ended.
      await writeFile(temporary, text, { mode: 0o600, flag: "wx", flush: true });
      await renameOver(temporary, this.#path);
    } catch (error) {
      await removeFile(temporary).catch(() => {});
      throw error;
    }
  }
}

function keyOf(order: TimedOrder): string {
  if (isOverrideOrder(order)) return `override ${order.override.id}`;
  return `${order.kind === "purge" ? "purge" : "pin"} ${order.pattern}`;
}

function endsOverride(order: TimedOrder): boolean {
  return isOverrideOrder(order) && order.override.ended !== undefined;
}

function dropOldest(entries: Map<string, unknown>): void {
  const [oldest] = entries.keys();
  if (entries.size > MAX_PATTERNS && oldest !== undefined) entries.delete(oldest);
}
