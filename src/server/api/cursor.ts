import type { z } from "zod";
import { ProblemError } from "./problem-details.ts";

/** The place in a list after which its next page begins, as text that means nothing to a client. */
export function encodeCursor(place: unknown): string {
  return Buffer.from(JSON.stringify(place)).toString("base64url");
}

/**
 * @param schema of the places in this list
 * @throws ProblemError if the cursor is not one of this list
 */
export function decodeCursor<Schema extends z.ZodType>(
  cursor: string,
  schema: Schema,
): z.output<Schema> {
  try {
    return schema.parse(JSON.parse(Buffer.from(cursor, "base64url").toString()));
  } catch {
    const detail = `${JSON.stringify(cursor.slice(0, 100))} is not a cursor of this list`;
    const next = "begin without a cursor, and send `next` of each page as it is";
    throw new ProblemError({ status: 400, detail, next });
  }
}
