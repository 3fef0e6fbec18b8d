import { z } from "zod";
import { isLoopbackHost } from "../parsing/host-overlap.ts";
import { quote } from "../parsing/problems.ts";
import type { PublicKey } from "./clients-settings.ts";

/** Whoever can change the keys on their way can make tokens. */
export function keysUrl(text: string): URL | string {
  const url = /^https?:\/\//i.test(text) ? URL.parse(text) : null;
  if (!url) return `${quote(text)} is no URL: write https://host/path`;
  if (url.username || url.password) return "contains credentials: use tokenFile";
  if (url.protocol === "http:" && !isLoopbackHost(url.hostname.replaceAll(/[[\]]/g, ""))) {
    return `${quote(text)} is not encrypted, and whoever changes the keys on their way can make tokens: write https://`;
  }
  return url;
}

/** The public keys of a JSON Web Key Set; others, which are secrets, are none. */
export const keySetSchema = z.object({
  keys: z
    .array(z.looseObject({ kty: z.string() }))
    .max(200)
    .transform((keys): PublicKey[] => keys.filter(({ kty }) => ["RSA", "EC", "OKP"].includes(kty))),
});
