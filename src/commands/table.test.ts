import { expect, test } from "bun:test";
import { table } from "./table.ts";

const COLUMNS = [{ title: "NAME" }, { title: "SIZE", right: true }];

test("columns are as wide as their longest cell, or their title", () => {
  const rows = [
    ["a", "10 MiB"],
    ["longer", "1 B"],
  ];
  expect(table(COLUMNS, rows).split("\n")).toEqual([
    "NAME      SIZE",
    "a       10 MiB",
    "longer     1 B",
  ]);
});
