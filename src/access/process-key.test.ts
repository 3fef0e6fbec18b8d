import { expect, test } from "bun:test";
import { ProcessKey } from "./process-key.ts";

test("names tell credentials apart, and nothing about them; another key gives others", () => {
  const [key, other] = [new ProcessKey(), new ProcessKey()];
  expect(key.name("a", "bc")).toBe(key.name("a", "bc"));
  expect(new ProcessKey(key.bytes).name("a")).toBe(key.name("a"));
  const names = [key.name("a", "bc"), key.name("ab", "c"), key.name("abc"), other.name("a", "bc")];
  expect(new Set(names).size).toBe(4);
  expect(key.quickName("a")).toBe(new ProcessKey(key.bytes).quickName("a"));
  const quick = [key.quickName("a"), key.quickName("aa"), other.quickName("a"), key.name("a")];
  expect(new Set(quick).size).toBe(4);
});

test("only the key that sealed a text opens it, and only as it was", () => {
  const key = new ProcessKey();
  const sealed = key.seal("ann\0pässword");
  expect(key.open(sealed)).toBe("ann\0pässword");
  expect(key.seal("ann\0pässword")).not.toBe(sealed);
  expect(new ProcessKey().open(sealed)).toBeUndefined();
  const flipped = Buffer.from(sealed, "base64url");
  for (let at = 0; at < flipped.length; at += 1) {
    flipped[at] = (flipped[at] ?? 0) ^ 1;
    expect(key.open(flipped.toString("base64url"))).toBeUndefined();
    flipped[at] = (flipped[at] ?? 0) ^ 1;
  }
  for (const text of ["", "x", sealed.slice(0, 20), sealed.slice(0, -2), `${sealed}AA`]) {
    expect(key.open(text)).toBeUndefined();
  }
});
