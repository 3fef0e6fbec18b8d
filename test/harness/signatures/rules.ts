import type { KeyObject } from "node:crypto";
import { readVerify } from "../../../src/config/policy-files/read-verify.ts";
import type { VerifyRule } from "../../../src/config/policies/policy-settings.ts";
import { type VerifyEntry, verifySchema } from "../../../src/config/policies/verify-schema.ts";
import { ISSUER, SUBJECT } from "./crafted-bundle.ts";

export const IDENTITY = { issuer: ISSUER, subject: SUBJECT };

/** A rule as it is read from a configuration, with files of these contents. */
export function ruleOf(
  entry: Partial<VerifyEntry>,
  files: Readonly<Record<string, string>> = {},
): VerifyRule {
  const parsed = verifySchema.parse({ mode: "enforce", ...entry });
  return readVerify(["verify"], parsed, {
    folder: "/",
    readFile: (path) => {
      const text = files[path];
      if (text === undefined) throw new Error(`no file ${path}`);
      return text;
    },
    report: (at, message) => {
      throw new Error(`${at.join(".")}: ${message}`);
    },
  });
}

export function publicPem(key: KeyObject): string {
  return key.export({ type: "spki", format: "pem" });
}
