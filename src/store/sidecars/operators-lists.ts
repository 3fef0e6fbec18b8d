import { z } from "zod";
import { parseDigest } from "../../oci/digest.ts";
import type { Pin } from "../metadata-store.ts";
import type { Override } from "../override-store.ts";

const pinsSchema = z.array(
  z.object({ pattern: z.string(), platforms: z.array(z.string()), since: z.number() }),
);

const overrideSchema = z.object({
  id: z.string(),
  kind: z.enum(["release", "hold", "rollback", "freeze"]),
  pattern: z.string(),
  digest: z.string().transform(requiredDigest).exactOptional(),
  asOf: z.number().exactOptional(),
  isUnverified: z.boolean().exactOptional(),
  reason: z.string(),
  by: z.string(),
  since: z.number(),
  stamp: z.int().exactOptional(),
  until: z.number().exactOptional(),
  ended: z.object({ at: z.number(), by: z.string(), reason: z.string() }).exactOptional(),
});

/** The pins of a file; none if it is not valid. */
export function parsePins(document: unknown): Pin[] {
  return pinsSchema.safeParse(document).data ?? [];
}

/** The overrides of a file: those that are valid. */
export function parseOverrides(document: unknown): Override[] {
  const { data = [] } = z.array(z.unknown()).safeParse(document);
  return data.flatMap((each) => overrideSchema.safeParse(each).data ?? []);
}

function requiredDigest(text: string, context: z.RefinementCtx) {
  const digest = parseDigest(text);
  if (digest) return digest;
  context.addIssue({ code: "custom", message: "is not a digest" });
  return z.NEVER;
}
