import { z } from "zod";
import { parseUpstreamName } from "../oci/names.ts";
import { addressProblem, hasParentSegment, parseAddress } from "./parsing/address.ts";
import { isWildcardHost } from "./parsing/host-overlap.ts";
import { GlobPattern } from "./parsing/glob-pattern.ts";
import { quote } from "./parsing/problems.ts";
import { parseDuration, parseSize } from "./parsing/units.ts";

// The patterns in `meta` are for the generated JSON Schema only, which describes the input. The transforms
// validate, since their messages say what to write instead.

const YEAR = 365 * 86_400_000;

/** Text or a number: YAML parses an unquoted `5000` as a number. */
const scalar = z.union([z.string(), z.number()]).transform(String);

export const duration = scalar
  .transform((text, context) => {
    const parsed = parseDuration(text);
    if (parsed !== undefined && parsed <= YEAR) return parsed;
    const message =
      parsed === undefined
        ? `${quote(text)} is not a valid duration: write a number with a unit, such as 30s, 5m, 1h or 7d`
        : `${quote(text)} is longer than a year (365d)`;
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  })
  .meta({ pattern: String.raw`^\s*(?:0|(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+)\s*$` });

/** For what is made of `size`. */
export const SIZE_META = { pattern: String.raw`^\s*\d+(?:\.\d+)?\s?(?:B|[KMGT]B|[KMGT]iB?)?\s*$` };

export const size = scalar
  .transform((text, context) => {
    const parsed = parseSize(text);
    if (parsed !== undefined && Number.isSafeInteger(parsed)) return parsed;
    const message =
      parsed === undefined
        ? `${quote(text)} is not a valid size: write a number with a unit, such as 500MB, 10GiB or 1TiB`
        : `${quote(text)} is larger than any disk`;
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  })
  .meta(SIZE_META);

/** In bytes. Not even one layer of most images fits into less. */
const MIN_MAX_SIZE = 1024 * 1024;

export const maxSize = size
  .refine((bytes) => bytes >= MIN_MAX_SIZE, {
    message:
      "is less than 1 MiB, which is too small for any image: write more, such as 10GiB, or omit it",
  })
  .meta(SIZE_META);

export const workers = scalar.meta({
  pattern: String.raw`^\s*(?:auto|[1-9]|[1-5]\d|6[0-4])\s*$`,
});

export const address = scalar.meta({
  pattern: String.raw`^\s*(?:(?:\[[a-fA-F0-9:.]+\]|[^:\s\[\]/]*):)?\d{1,5}\s*$`,
});

/** An address with a host, which says who can reach it. */
export const ownAddress = scalar
  .transform((text, context) => {
    const parsed = parseAddress(text, "");
    if (parsed && parsed.host !== "") return parsed;
    const message = parsed
      ? `${quote(text)} has no host: write host:port, such as 127.0.0.1:${parsed.port}, or set port for the host of listen`
      : addressProblem(text);
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  })
  .meta({ pattern: String.raw`^\s*(?:\[[a-fA-F0-9:.]+\]|[^:\s\[\]/]+):\d{1,5}\s*$` });

export const registryUrl = z
  .string()
  .transform((text, context) => {
    const problem = urlProblem(text);
    if (problem === undefined) return new URL(text.replace(/\/+$/, ""));
    // Hides a password in the URL: the message goes to a terminal or a log.
    const shown = quote(text.replace(/\/\/[^/]*@/, "//…@"));
    context.addIssue({ code: "custom", message: `${shown} ${problem}` });
    return z.NEVER;
  })
  .meta({ pattern: "^[Hh][Tt][Tt][Pp][Ss]?://" });

function urlProblem(text: string): string | undefined {
  if (!/^https?:\/\//i.test(text)) return "has no scheme: write https://host or http://host";
  const url = URL.parse(text);
  if (!url) return "is not a valid URL: write https://host[:port]";
  if (url.username || url.password) return "contains credentials: put them under auth";
  if (url.search || url.hash) return "has a query or fragment, which a registry URL must not have";
  if (hasParentSegment(text)) return "has .. in its path: write the path that is meant";
  if (/\/v2\/*$/.test(url.pathname)) return "ends in /v2, which is added automatically: omit it";
  return undefined;
}

/** Where a replica reaches another one. */
export const replicaUrl = z
  .string()
  .transform((text, context) => {
    const url = /^https?:\/\/[^\s/?#@]+\/?$/i.test(text) ? URL.parse(text) : null;
    if (url && isWildcardHost(url.hostname.replaceAll(/[[\]]/g, ""))) {
      const message = `${quote(text)} stands for all addresses of a machine, and is none at which another one reaches it: write http://host:port, such as http://10.0.0.7:5002`;
      context.addIssue({ code: "custom", message });
      return z.NEVER;
    }
    if (url && parseUpstreamName(url.host) !== undefined) return url;
    const message = `${quote(text.replace(/\/\/[^/]*@/, "//…@"))} is not the address of a replica: write http://host:port, such as http://10.0.0.7:5002`;
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  })
  .meta({ pattern: String.raw`^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@]+/?$` });

export const nonEmptyText = z.string().min(1).optional();

export const realmHost = z
  .string()
  .refine((text) => parseUpstreamName(text) !== undefined, {
    message:
      "is not a valid host: write only the host, such as auth.example.com, without scheme or path",
  })
  .meta({ examples: ["auth.example.com"] });

const pattern = z.string().transform((written, context) => {
  const compiled = GlobPattern.compile(written);
  if (typeof compiled !== "string") return compiled;
  context.addIssue({ code: "custom", message: `${quote(written)} ${compiled}` });
  return z.NEVER;
});

export const patterns = z.array(pattern).max(256).optional();
