import { z } from "zod";

/** The most items in one answer. */
export const MAX_PAGE = 1000;

/** The fields of a query that asks for a list page by page. */
export const pageQuery = {
  cursor: z.string().max(4096).optional().describe("`next` of the page before"),
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(MAX_PAGE)
    .default(100)
    .describe("the most items in the answer"),
};

/** What an answer says to a token that may only read, if some images are private. */
export const hiddenField = z
  .int()
  .optional()
  .describe(
    "how many items are not told to a token that may only read, since their images are private",
  );

/** A yes or no in a query. */
export const queryFlag = z
  .enum(["true", "false"])
  .transform((text) => text === "true")
  .default(false);

/** The fields of a page of a list. */
export function pageOf<Item extends z.ZodType>(item: Item) {
  return {
    items: z.array(item),
    next: z.string().optional().describe("the cursor of the next page; absent on the last one"),
    hidden: hiddenField,
  };
}
