import { expect, test } from "bun:test";
import { expectGolden } from "../../../test/harness/golden.ts";
import { mountedSecret, mountKey } from "../../config/foreign/cluster-needs.ts";
import { GOLDEN_IMPORTS, readGolden } from "../../config/configtest/golden-imports.ts";
import { writeChartValues } from "./chart-values.ts";

test.each(GOLDEN_IMPORTS)(
  "%s is imported as the golden values of the chart",
  (name, files, names) => {
    const imported = readGolden([name, files, names], mountedSecret);
    const command = `entrepot import ${files.join(" ")} --chart`;
    const { text } = writeChartValues(imported, command, "values.yaml");
    expectGolden(`import/${name}/chart.yaml`, text.replaceAll("/in/", ""));
  },
);

test.each([
  ["quay-v1", "quay-v1"],
  ["harbor-ca.v1", "harbor-ca-v1-e4c9fbca"],
  ["entrepot", "entrepot-38f125b7"],
])("the Secret %s is mounted as %s", (secret, key) => {
  expect(mountKey(secret)).toBe(key);
});

test("a long name of a Secret is mounted by one that a volume may have, and by no other's", () => {
  const keys = [`${"a".repeat(200)}1`, `${"a".repeat(200)}2`, "a.b", "a-b"].map(mountKey);
  expect(new Set(keys).size).toBe(keys.length);
  for (const key of keys) expect(`secret-${key}`).toMatch(/^[a-z0-9-]{1,62}[a-z0-9]$/);
});
