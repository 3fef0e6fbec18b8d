import { expect, test } from "bun:test";
import { ProcessKey } from "./process-key.ts";
import { SealedTokens, TOKEN_LIFETIME } from "./sealed-tokens.ts";

test("a token carries credentials until it expires, for the process that issued it", () => {
  let now = 1_000_000;
  const key = new ProcessKey();
  const tokens = new SealedTokens(key, () => now);
  const credentials = { scheme: "basic", username: "ann", password: "s3cret:€" } as const;
  const token = tokens.issue(credentials);
  expect(token).toMatch(/^[\w.-]+$/);
  const until = 1_000_000 + TOKEN_LIFETIME * 1000;
  expect(tokens.read(token)).toEqual({ credentials, until });
  expect(tokens.read(tokens.issue(undefined))).toEqual({ credentials: undefined, until });
  expect(new SealedTokens(new ProcessKey(), () => now).read(token)).toBeUndefined();
  expect(tokens.read(token.replace("entrepot.", ""))).toBeUndefined();
  expect(tokens.read(`entrepot.${key.seal("[1e99]").slice(1)}`)).toBeUndefined();
  now += TOKEN_LIFETIME * 1000 - 1;
  expect(tokens.read(token)).toEqual({ credentials, until });
  now += 1;
  expect(tokens.read(token)).toBeUndefined();
});
