import { z } from "zod";
import { parseUpstreamName } from "../oci/names.ts";
import { Pattern } from "./parsing/glob-pattern.ts";
import { quote } from "./parsing/problems.ts";
import type { Address } from "./settings.ts";
import { parseDuration, parseSize } from "./parsing/units.ts";

const YEAR = 365 * 86_400_000;

/** `host:port`, `[IPv6]:port`, `:port` or a bare port, for which `anyHost` is taken. */
export function parseAddress(text: string, anyHost: string): Address | undefined {
  const match = /^(?:(\[[a-fA-F0-9:.]+\]|[^:\s[\]/]*):)?(\d{1,5})$/.exec(text.trim());
  if (!match || Number(match[2]) > 65_535) return undefined;
  return { host: match[1]?.replaceAll(/[[\]]/g, "") || anyHost, port: Number(match[2]) };
}

/** What is wrong with an address that could not be read. */
export function addressProblem(text: string): string {
  return `${quote(text)} is no address: write host:port, such as 0.0.0.0:5000`;
}

/** A text or a bare number, which YAML makes of `5000`. */
const scalar = z.union([z.string(), z.number()]).transform(String);

const duration = scalar.transform((text, context) => {
  const parsed = parseDuration(text);
  if (parsed !== undefined && parsed <= YEAR) return parsed;
  const message =
    parsed === undefined
      ? `${quote(text)} is no duration: write a number with a unit, such as 30s, 5m, 1h or 7d`
      : `${quote(text)} is longer than a year (365d)`;
  context.addIssue({ code: "custom", message });
  return z.NEVER;
});

const size = scalar.transform((text, context) => {
  const parsed = parseSize(text);
  if (parsed !== undefined && Number.isSafeInteger(parsed)) return parsed;
  const message =
    parsed === undefined
      ? `${quote(text)} is no size: write a number with a unit, such as 500MB, 10GiB or 1TiB`
      : `${quote(text)} is more than any disk has`;
  context.addIssue({ code: "custom", message });
  return z.NEVER;
});

/** A bound below which not even one layer of most images could be kept. */
const SMALLEST_BOUND = 1024 * 1024;

const bound = size.refine((bytes) => bytes >= SMALLEST_BOUND, {
  message: "is less than 1 MiB, in which no image fits: write more, such as 10GiB, or leave it out",
});

const registryUrl = z.string().transform((text, context) => {
  const problem = urlProblem(text);
  if (problem === undefined) return new URL(text.replace(/\/+$/, ""));
  // A password that was written into the address must not reach a terminal or a log.
  const shown = quote(text.replace(/\/\/[^/]*@/, "//…@"));
  context.addIssue({ code: "custom", message: `${shown} ${problem}` });
  return z.NEVER;
});

function urlProblem(text: string): string | undefined {
  if (!/^https?:\/\//i.test(text)) return "has no scheme: write https://host or http://host";
  const url = URL.parse(text);
  if (!url) return "is no URL: write https://host[:port]";
  if (url.username || url.password) return "holds credentials: put them under auth";
  if (url.search || url.hash)
    return "has a query or a fragment, which a registry's address has not";
  if (/\/v2\/*$/.test(url.pathname))
    return "ends in /v2, which is appended by itself: leave it out";
  return undefined;
}

const words = z.string().min(1).optional();

const auth = z
  .strictObject({
    // RFC 7617 section 2: the first colon ends the user's name.
    username: z
      .string()
      .min(1)
      .refine((name) => !name.includes(":"), { message: "must not contain a colon" })
      .optional(),
    usernameEnv: words,
    password: words,
    passwordFile: words,
    passwordEnv: words,
    secretDir: words,
    dockerConfig: words,
  })
  .superRefine((value, context) => {
    const problem = authProblem(value);
    if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
  });

function authProblem(value: Readonly<Record<string, string | undefined>>): string | undefined {
  const has = (...keys: string[]): number => keys.filter((key) => value[key] !== undefined).length;
  const parts = has("username", "usernameEnv", "password", "passwordFile", "passwordEnv");
  const wholes = has("secretDir", "dockerConfig");
  if (wholes > 0) {
    if (wholes + parts === 1) return undefined;
    return "needs one way alone: a username with a password, secretDir, or dockerConfig";
  }
  if (has("username", "usernameEnv") !== 1)
    return "needs either username or usernameEnv, or secretDir or dockerConfig instead";
  if (has("password", "passwordFile", "passwordEnv") !== 1)
    return "needs either password, passwordFile or passwordEnv";
  return undefined;
}

const realmHost = z.string().refine((text) => parseUpstreamName(text) !== undefined, {
  message: "is no host: write the host alone, such as auth.example.com, without scheme or path",
});

const pattern = z.string().transform((written, context) => {
  const compiled = Pattern.compile(written);
  if (typeof compiled !== "string") return compiled;
  context.addIssue({ code: "custom", message: `${quote(written)} ${compiled}` });
  return z.NEVER;
});

const patterns = z.array(pattern).max(256).optional();

const mirror = z.union([
  registryUrl,
  z.strictObject({
    url: registryUrl,
    allowPrivate: z.boolean().optional(),
    overridePath: z.boolean().optional(),
    resolve: z.boolean().optional(),
    ca: words,
  }),
]);

const upstream = z.strictObject({
  url: registryUrl.optional(),
  port: z.number().int().min(1).max(65_535).optional(),
  tagTtl: duration.optional(),
  auth: auth.optional(),
  allowPrivate: z.boolean().optional(),
  trustedRealms: z.array(realmHost).max(64).optional(),
  maxConnections: z.number().int().min(1).max(96).optional(),
  mirrors: z.array(mirror).max(8).optional(),
  proxy: words,
  ca: words,
  clientCertificate: words,
  clientKey: words,
  staleFor: duration.optional(),
  allow: patterns,
  deny: patterns,
  bypass: patterns,
  immutableTags: patterns,
  maxSize: bound.optional(),
  maxAge: duration.optional(),
});

const tls = z.strictObject({ certificate: z.string().min(1), key: z.string().min(1) });

/** The file's form: what may stand in it, and of which type. What belongs together is checked in load.ts. */
export const fileSchema = z.strictObject({
  listen: scalar.optional(),
  admin: scalar.optional(),
  adminToken: z
    .string()
    .max(4096)
    .refine((text) => text.length >= 16, { message: "is shorter than 16 characters" })
    .optional(),
  adminTokenFile: z.string().min(1).optional(),
  tls: tls.optional(),
  storage: z
    .strictObject({
      dir: z.string().min(1).optional(),
      maxSize: bound.optional(),
      minFree: size.optional(),
      scrub: size.optional(),
    })
    .nullish(),
  upstreams: z.record(z.string(), upstream.nullable()).nullish(),
});

export type FileSettings = z.infer<typeof fileSchema>;
export type UpstreamEntry = z.infer<typeof upstream>;
