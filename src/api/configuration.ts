import { z } from "zod";

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]);

const keySchema = z
  .object({
    key: z.string().describe("with the keys that it is nested in: `upstreams.ghcr.io.tagTtl`"),
    value: z
      .union([scalar, z.array(scalar)])
      .optional()
      .describe("as it was written, or as the reference has it; absent if it may be a secret"),
    source: z.enum(["file", "flag", "environment", "default"]),
    at: z
      .string()
      .optional()
      .describe("`file:line:column`, the flag or the variable; absent for a default"),
  })
  .meta({ id: "ConfigurationKey" });

/** The settings that are in effect, and where each comes from. */
export const configurationSchema = z
  .object({
    file: z.string().optional().describe("absent without a configuration file"),
    readAt: z
      .number()
      .optional()
      .describe("when what is in effect was read, in milliseconds since the epoch"),
    keys: z.array(keySchema),
    upstreamDefaults: z
      .array(keySchema)
      .describe("what holds for each upstream where nothing else is written"),
    needsRestart: z
      .array(z.string())
      .describe("changes that are written, and take effect with the next start"),
    problems: z
      .array(z.string())
      .describe("why what is written now is not in effect: the settings from before are"),
  })
  .meta({ id: "Configuration" });

export type Configuration = z.infer<typeof configurationSchema>;

export const reloadedSchema = z
  .object({
    changes: z.array(z.string()).describe("what is in use now"),
    needsRestart: z.array(z.string()),
    problems: z
      .array(z.string())
      .describe("why nothing was changed: the previous settings stay in use"),
  })
  .meta({ id: "Reloaded" });
