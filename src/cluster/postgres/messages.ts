import { z } from "zod";
import { parseDigest } from "../../oci/digest.ts";
import { parseRepositoryName, parseTag, parseUpstreamName } from "../../oci/names.ts";
import { type News, parseOrderId } from "../ledger/facts.ts";
import { agesOfOverride, OVERRIDE } from "../ledger/override-ages.ts";
import type { ServerClock } from "../database/server-clock.ts";

const upstream = parsed(parseUpstreamName);
/** On the server's clock, in milliseconds of the epoch. */
const time = z.number();

/** What rows say, as message-sql.ts makes it. A later version may add keys and kinds: those it knows are read. */
const MESSAGE = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("tag"),
    upstream,
    repository: parsed(parseRepositoryName),
    tag: parsed(parseTag),
    digest: parsed(parseDigest).nullable(),
    checked: time,
  }),
  z.object({
    kind: z.enum(["pin", "unpin", "purge"]),
    id: parsed(parseOrderId),
    pattern: z.string(),
    platforms: z.array(z.string()),
    at: time,
  }),
  z.object({
    kind: z.literal("override"),
    id: parsed(parseOrderId),
    override: OVERRIDE,
    at: time,
  }),
  z.object({ kind: z.literal("preview"), id: parsed(parseOrderId), pattern: z.string() }),
  z.object({
    kind: z.enum(["rest", "budget"]),
    upstream,
    host: z.string(),
    account: z.string(),
    requests: z.enum(["blob", "list", "metadata", ""]),
    remaining: z.number().nullable(),
    quota: z.number().nullable(),
    window: z.number().nullable(),
    until: time,
  }),
  z.object({
    kind: z.literal("applied"),
    order: parsed(parseOrderId),
    outcome: z.enum(["done", "refused"]),
    images: z.number(),
    by: z.string(),
  }),
]);

export type Message = z.infer<typeof MESSAGE>;

/** @returns undefined if this version does not know what it says */
export function parseMessage(value: unknown): Message | undefined {
  return MESSAGE.safeParse(value).data;
}

/** What a notification has, see message-sql.ts. Anybody with access to the database can notify of anything. */
export function parseNotification(text: string): {
  readonly by?: unknown;
  readonly what?: unknown;
} {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // Somebody else's.
  }
  return { what: null };
}

/** What a message says now, by the server's clock; `undefined` if it is over. */
export function newsOf(message: Message, clock: ServerClock): News | undefined {
  switch (message.kind) {
    case "tag": {
      const { upstream: name, repository, tag, digest, checked } = message;
      const place = { repo: { upstream: name, repository }, tag, ageMs: ageOf(checked, clock) };
      return digest ? { kind: "tag", ...place, digest } : { kind: "tag-removed", ...place };
    }
    case "pin":
    case "unpin":
    case "purge": {
      const { kind, id, pattern, platforms, at } = message;
      const order = { id, pattern, ageMs: ageOf(at, clock) };
      return kind === "pin" ? { kind, ...order, platforms } : { kind, ...order };
    }
    case "override": {
      const { kind, id, override, at } = message;
      return {
        kind,
        id,
        override: agesOfOverride(override, clock.latest()),
        ageMs: ageOf(at, clock),
      };
    }
    case "rest":
    case "budget":
      return limitOf(message, clock);
    case "preview":
    case "applied":
      return message;
  }
}

function limitOf(
  message: Extract<Message, { readonly kind: "rest" | "budget" }>,
  clock: ServerClock,
): News | undefined {
  const {
    kind,
    upstream: name,
    host,
    account,
    requests,
    remaining,
    quota,
    window,
    until,
  } = message;
  const leftMs = until - clock.earliest();
  if (leftMs <= 0) return undefined;
  const limited = { upstream: name, host, account, leftMs };
  if (kind === "rest") return requests === "" ? undefined : { kind, ...limited, requests };
  if (remaining === null || window === null) return undefined;
  return { kind, ...limited, remaining, window, ...(quota === null ? {} : { limit: quota }) };
}

/** Rather too high than too low. */
function ageOf(moment: number, clock: ServerClock): number {
  return Math.max(0, clock.latest() - moment);
}

/** Text that one of our parsers takes. */
function parsed<Value>(parse: (text: string) => Value | undefined) {
  return z.string().transform((text, context) => {
    const value = parse(text);
    if (value !== undefined) return value;
    context.addIssue("is not valid");
    return z.NEVER;
  });
}
