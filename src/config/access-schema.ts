import { z } from "zod";
import { quote } from "./parsing/problems.ts";
import { patterns } from "./schema-values.ts";
import { type AccessMode, ACCESS_MODES } from "./access/access-settings.ts";

/** Text that is one of the modes. An enum would not say in a union what is wrong with it. */
const mode = z
  .string()
  .transform((text, context): AccessMode => {
    const found = ACCESS_MODES.find((one) => one === text);
    if (found) return found;
    const message = `is ${quote(text)}: write open, upstream, clients or denied`;
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  })
  .meta({ pattern: `^(?:${ACCESS_MODES.join("|")})$` });

/** The key `access` of an upstream. */
export const accessSchema = z.union([
  mode,
  z
    .array(
      z.strictObject({
        repositories: patterns.describe(
          "Patterns of the repositories that this entry is about, such as org/private/**. At most 256. Default: all that no entry before it matches.",
        ),
        access: mode.describe("Who may pull them: open, upstream, clients or denied."),
      }),
    )
    .min(1, { message: "is empty: add an entry, or omit it, so that access is open" })
    .max(256),
]);

export type AccessKey = z.infer<typeof accessSchema>;
