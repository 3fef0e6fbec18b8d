import { expect, test } from "bun:test";
import { ImportedConfig } from "./imported-config.ts";
import { writeConfig } from "./write-config.ts";

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
