import { expect, test } from "bun:test";
import { quoteForShell } from "./shell-word.ts";

const words = [
  "compose.yaml",
  "/srv/my caches/compose.yaml",
  "it's.yaml",
  '$(id)`id`"$HOME"',
  "a\nb\t'c'\\d\u001B[31m",
  "a\u2028b\u202Ec",
  "a\u200Bb\uFEFF\u061C\u{E0041}c",
  "",
  "-rf",
  "*?[a]{b,c}~!#&;|<>",
  "äöü",
];

test.each(words)("a quoted word is one line, and bash reads it as it was (%#)", (word) => {
  const quoted = quoteForShell(word);
  expect(quoted).not.toMatch(/[\p{Cc}\p{Cf}\u2028\u2029]/u);
  const { stdout } = Bun.spawnSync(["bash", "-c", `printf %s ${quoted}`]);
  expect(stdout.toString()).toBe(word);
});
