import { expect, test } from "bun:test";
import { baselineOf, regressions } from "./guard.ts";
import { formatFigure, goalTable, table } from "./report.ts";
import { type Goal, judge, type Measurement, summarise } from "./results.ts";

const measured = (system: string, ...values: number[]): Measurement[] =>
  values.map((value) => ({ workload: "hit", figure: "requests/s", system, value }));

const rows = summarise([...measured("entrepot", 50, 70, 60), ...measured("nginx", 100, 120)]);
const goal: Goal = { workload: "hit", figure: "requests/s", against: "nginx", atLeast: 0.5 };

test("the table has a column per system, with the median and range of all rounds", () => {
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
])("a ratio of medians is compared with a goal of at least %d", (atLeast, isMet) => {
  const [result] = judge([{ ...goal, atLeast }], rows);
  expect(result?.value).toBeCloseTo(60 / 110);
  expect(result?.isMet).toBe(isMet);
  expect(goalTable(result ? [result] : [])).toContain(`≥ ${atLeast}`);
});

test("a goal without measurements has no result", () => {
  expect(judge([{ ...goal, against: "another" }], rows)).toEqual([]);
});

test("a ratio within the tolerance passes the guard, and a worse one is reported", () => {
  const results = judge([goal], rows);
  const baseline = baselineOf(results);
  expect(baseline).toEqual([{ key: "hit: requests/s, over nginx", value: 0.5455 }]);
  expect(regressions(results, baseline)).toEqual([]);
  const before = [{ key: "hit: requests/s, over nginx", value: 0.8 }];
  expect(regressions(results, before)).toEqual([
    "hit: requests/s, over nginx is 0.545, the baseline is 0.8",
  ]);
});

test("an absolute figure is not part of the baseline", () => {
  const absolute: Goal = { workload: "hit", figure: "requests/s", atLeast: 1 };
  expect(baselineOf(judge([absolute], rows))).toEqual([]);
});

test.each([
  [1234.5, "1,235"],
  [0.123_45, "0.123"],
  [99.95, "100"],
  [1, "1"],
  [NaN, "–"],
])("%d is formatted as %s", (value, text) => {
  expect(formatFigure(value)).toBe(text);
});
