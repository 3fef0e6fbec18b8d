import { expect, test } from "bun:test";
import { unifiedDiff } from "./diff.ts";

test("a hunk has three lines of context around a change", () => {
  const before = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
  expect(unifiedDiff("/f", before, before.replace("5", "five"))).toBe(
    "--- /f\n+++ /f\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8",
  );
});

test("two distant changes are two hunks", () => {
  const lines = Array.from({ length: 20 }, (_, index) => `${index + 1}`);
  const before = `${lines.join("\n")}\n`;
  const after = `${lines.map((line) => (line === "2" || line === "18" ? `${line}!` : line)).join("\n")}\n`;
  expect(unifiedDiff("/f", before, after).match(/^@@.*@@$/gm)).toEqual([
    "@@ -1,5 +1,5 @@",
    "@@ -15,6 +15,6 @@",
  ]);
});

test("created files, removed files and missing final newlines are shown as diff -u does", () => {
  expect(unifiedDiff("/f", undefined, "a\n")).toBe("--- /dev/null\n+++ /f\n@@ -0,0 +1,1 @@\n+a");
  expect(unifiedDiff("/f", "a\n", undefined)).toBe("--- /f\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-a");
  expect(unifiedDiff("/f", "a", "a\n")).toContain("\\ No newline at end of file");
});
