import { expect, test } from "bun:test";
import { ImportedConfig } from "./imported-config.ts";
import { writeConfig } from "./write-config.ts";

test("a draft of very many upstreams is written before long", () => {
  const draft = new ImportedConfig();
  for (let line = 1; line <= 20_000; line += 1) {
    const from = { file: "f", line, column: 1, what: "" };
    draft.upstream(`a${line}.test`, from);
    draft.set(["upstreams", `a${line}.test`, "maxAge"], ["1h"], from);
  }
  const begun = performance.now();
  const text = writeConfig(draft, "entrepot import f");
  expect(performance.now() - begun).toBeLessThan(12_000);
  expect(text).toEndWith("  # f:20000\n  a20000.test:\n    maxAge: 1h # f:20000\n");
});
