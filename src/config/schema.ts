import { z } from "zod";
import { parseUpstreamName } from "../oci/names.ts";
import type { Address } from "./settings.ts";
import { parseDuration } from "./units.ts";

/** `host:port`, `:port` or a bare port. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:(\[[a-fA-F0-9:.]+\]|[^:\s[\]]*):)?(\d{1,5})$/.exec(text.trim());
  if (!match || Number(match[2]) > 65_535) return undefined;
  return { host: match[1]?.replaceAll(/[[\]]/g, "") || "0.0.0.0", port: Number(match[2]) };
}

const address = z.union([z.string(), z.number()]).transform((value, context) => {
  const parsed = parseAddress(String(value));
  if (parsed) return parsed;
  context.addIssue({
    code: "custom",
    message: `${JSON.stringify(value)} is no address: write host:port, such as 0.0.0.0:5000`,
  });
  return z.NEVER;
});

const duration = z.union([z.string(), z.number()]).transform((value, context) => {
  const parsed = parseDuration(String(value));
  if (parsed !== undefined) return parsed;
  context.addIssue({
    code: "custom",
    message: `${JSON.stringify(value)} is no duration: write a number with a unit, such as 30s, 5m or 1h`,
  });
  return z.NEVER;
});

const registryUrl = z.string().transform((text, context) => {
  const problem = urlProblem(text);
  if (problem === undefined) return new URL(text.replace(/\/+$/, ""));
  context.addIssue({ code: "custom", message: `${JSON.stringify(text)} ${problem}` });
  return z.NEVER;
});

function urlProblem(text: string): string | undefined {
  if (!/^https?:\/\//.test(text)) return "has no scheme: write https://host or http://host";
  const url = URL.parse(text);
  if (!url) return "is no URL: write https://host[:port]";
  if (url.username || url.password) return "holds credentials: put them under auth";
  if (url.search || url.hash)
    return "has a query or a fragment, which a registry's address has not";
  if (/\/v2\/?$/.test(url.pathname))
    return "ends in /v2, which is appended by itself: leave it out";
  return undefined;
}

const auth = z
  .strictObject({
    username: z.string().min(1),
    password: z.string().min(1).optional(),
    passwordFile: z.string().min(1).optional(),
  })
  .refine((value) => (value.password === undefined) !== (value.passwordFile === undefined), {
    message: "needs either password or passwordFile",
  });

const realmHost = z.string().refine((text) => parseUpstreamName(text) !== undefined, {
  message: "is no host: write the host alone, such as auth.example.com, without scheme or path",
});

const upstream = z.strictObject({
  url: registryUrl.optional(),
  port: z.number().int().min(1).max(65_535).optional(),
  tagTtl: duration.optional(),
  auth: auth.optional(),
  allowPrivate: z.boolean().optional(),
  trustedRealms: z.array(realmHost).max(64).optional(),
  maxConnections: z.number().int().min(1).max(160).optional(),
});

/** The file's form: what may stand in it, and of which type. What belongs together is checked in load.ts. */
export const fileSchema = z.strictObject({
  listen: address.optional(),
  admin: address.optional(),
  storage: z.strictObject({ dir: z.string().min(1).optional() }).nullish(),
  upstreams: z.record(z.string(), upstream.nullable()).optional(),
});

export type FileSettings = z.infer<typeof fileSchema>;
export type UpstreamEntry = z.infer<typeof upstream>;
