import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import type { Command } from "commander";
import { named } from "../named-argument.ts";
import { storeCommand, type StoreOptions } from "../store/store-connection.ts";
import { FUTURE_FORMS, type Moment, parseFuture, parsePast, PAST_FORMS } from "./moment.ts";

export interface OrderOptions extends StoreOptions {
  readonly reason: string;
  readonly until?: string;
  readonly for?: string;
  readonly dryRun?: boolean;
}

/** A command by which an operator decides something of tags. */
export function orderCommand(name: string, description: string): Command {
  return storeCommand(name, description)
    .requiredOption(
      "--reason <text>",
      "why: it is kept, and shown to others",
      named("why, such as --reason 'CVE-2026-1234'"),
    )
    .option("--until <when>", `when it ends by itself: ${FUTURE_FORMS}`)
    .option("--for <duration>", "how long it holds, such as 12h or 7d")
    .option("--dry-run", "only show what would be done");
}

/** When an order ends by itself; ends the process where that cannot be understood. */
export function endOf({ until, for: lasting }: OrderOptions, command: Command): Moment | undefined {
  if (until !== undefined && lasting !== undefined) {
    command.error("error: --until and --for both say when it ends: leave one of them out");
  }
  const text = until ?? lasting;
  if (text === undefined) return undefined;
  const moment = parseFuture(text, Date.now());
  if (moment) return moment;
  const option = until === undefined ? "--for" : "--until";
  return command.error(
    `error: ${option} ${JSON.stringify(text)} is not valid: write ${FUTURE_FORMS}`,
  );
}

/** A moment that is over; ends the process where it cannot be understood. */
export function pastOf(option: string, text: string, command: Command, or = ""): Moment {
  const moment = parsePast(text, Date.now());
  if (moment) return moment;
  return command.error(
    `error: ${option} ${JSON.stringify(text)} is not valid: write ${or}${PAST_FORMS}`,
  );
}

/** Who types, as far as this machine knows: the cache keeps it as a claim. */
export function claimOf(env: NodeJS.ProcessEnv = process.env): string {
  return `${env["SUDO_USER"] ?? userName()}@${hostname()}`.slice(0, 100);
}

/** Bun's `os.userInfo()` knows no more than USER says, which services and containers do not set. */
function userName(): string {
  const uid = process.getuid?.();
  if (uid === undefined) return "unknown";
  return nameIn(readUsers(), uid) ?? `uid ${uid}`;
}

/** The name of a user in the text of /etc/passwd (passwd(5)); in a container, it may have a number alone. */
export function nameIn(users: string, uid: number): string | undefined {
  const fields = users.split("\n").map((line) => line.split(":"));
  return fields.find(([, , id]) => id === String(uid))?.[0];
}

function readUsers(): string {
  try {
    return readFileSync("/etc/passwd", "utf8");
  } catch {
    return "";
  }
}
