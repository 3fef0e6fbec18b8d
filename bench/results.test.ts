import { expect, test } from "bun:test";
import { baselineOf, regressions } from "./guard.ts";
import { goalTable, shown, table } from "./report.ts";
import { type Goal, judge, type Measurement, summarise } from "./results.ts";

const measured = (system: string, ...values: number[]): Measurement[] =>
  values.map((value) => ({ workload: "hit", figure: "requests/s", system, value }));

const rows = summarise([...measured("entrepot", 50, 70, 60), ...measured("nginx", 100, 120)]);
const goal: Goal = { workload: "hit", figure: "requests/s", against: "nginx", atLeast: 0.5 };

test("rounds become a median and a spread, and systems columns", () => {
  expect(table(rows)).toBe(
    [
      "| Workload | Figure     | entrepot   | nginx         |",
      "| -------- | ---------- | ---------- | ------------- |",
      "| hit      | requests/s | 60 (50–70) | 110 (100–120) |",
    ].join("\n"),
  );
});

test.each([
  [0.5, true],
  [0.6, false],
])("a ratio of medians is held against its goal of %d", (atLeast, holds) => {
  const [judged] = judge([{ ...goal, atLeast }], rows);
  expect(judged?.value).toBeCloseTo(60 / 110);
  expect(judged?.holds).toBe(holds);
  expect(goalTable(judged ? [judged] : [])).toContain(`≥ ${atLeast}`);
});

test("what was not measured is not judged", () => {
  expect(judge([{ ...goal, against: "another" }], rows)).toEqual([]);
});

test("the guard lets noise through and a fall not", () => {
  const judged = judge([goal], rows);
  const baseline = baselineOf(judged);
  expect(baseline).toEqual([{ key: "hit: requests/s, over nginx", value: 0.5455 }]);
  expect(regressions(judged, baseline)).toEqual([]);
  const before = [{ key: "hit: requests/s, over nginx", value: 0.8 }];
  expect(regressions(judged, before)).toEqual([
    "hit: requests/s, over nginx is 0.545, and was 0.8",
  ]);
});

test("a figure that has no peer is the machine's, and not kept", () => {
  const alone: Goal = { workload: "hit", figure: "requests/s", atLeast: 1 };
  expect(baselineOf(judge([alone], rows))).toEqual([]);
});

test.each([
  [1234.5, "1,235"],
  [0.123_45, "0.123"],
  [99.95, "100"],
  [1, "1"],
  [NaN, "–"],
])("%d is shown as %s", (value, text) => {
  expect(shown(value)).toBe(text);
});
