import { z } from "zod";

/** Whether all is well, in one sentence: `status`, the page and every alert say the same one. */
export const healthSchema = z
  .object({
    state: z
      .enum(["ok", "degraded", "failing"])
      .describe(
        "`degraded`: some pulls are slower, or fail if their images are not stored here; `failing`: most of what is not stored here fails",
      ),
    sentence: z.string().describe("what is the case, and what it means for pulls"),
    advice: z.string().optional().describe("what to do about it; absent if nothing has to be done"),
    problems: z.array(z.string()).describe("each says what is wrong and what to do"),
    warnings: z
      .array(z.string())
      .describe(
        "what fails nothing, and should be known: private images that are open to the network",
      ),
  })
  .meta({ id: "Health" });

export type Health = z.infer<typeof healthSchema>;
