import { expect, test } from "bun:test";
import { ImportedConfig } from "./imported-config.ts";
import { ConfigError } from "../parsing/problems.ts";
import { jobLines, unsupportedLines, warningLines, writeConfig } from "./write-config.ts";

test("writing a configuration of 20,000 upstreams takes less than 12 s", () => {
  const imported = new ImportedConfig();
  for (let line = 1; line <= 20_000; line += 1) {
    const from = { file: "f", line, column: 1, what: "" };
    imported.addUpstream(`a${line}.test`, from);
    imported.set(["upstreams", `a${line}.test`, "maxAge"], ["1h"], from);
  }
  const startedAt = performance.now();
  const text = writeConfig(imported, "entrepot import f");
  expect(performance.now() - startedAt).toBeLessThan(12_000);
  expect(text).toEndWith("  # f:20000\n  a20000.test:\n    maxAge: 1h # f:20000\n");
});

test("a message with a value that nobody reads to its end is shortened, and keeps its advice", () => {
  const imported = new ImportedConfig();
  const from = { file: "f", line: 1, column: 1, what: "docker run ".repeat(90_000) };
  imported.warn(from, "write it out");
  imported.skip(from, "write it out");
  imported.jobs.push({ from, kind: "collects-garbage", script: undefined });
  imported.reject(from, "write it out");
  const rejection = new ConfigError(imported.problems).message;
  for (const [line = "", ...more] of [
    warningLines(imported),
    unsupportedLines(imported),
    jobLines(imported),
    [rejection],
  ]) {
    expect(more).toEqual([]);
    expect(line.length).toBeLessThan(1100);
    expect(line).toMatch(/^f:1.*…(?:.*write it out|.*which Entrepot does itself)$/);
  }
});
