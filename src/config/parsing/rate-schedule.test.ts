import { afterEach, describe, expect, test } from "bun:test";
import { parseRate, RateSchedule } from "./rate-schedule.ts";

const OFFICE = [
  { from: 22 * 60, to: 6 * 60, rate: 1 },
  { from: 8 * 60, to: 18 * 60, rate: 2 },
];

describe("a schedule", () => {
  const timeZone = process.env["TZ"];
  afterEach(() => {
    if (timeZone === undefined) delete process.env["TZ"];
    else process.env["TZ"] = timeZone;
  });

  test.each([
    ["00:00", { rate: 1, until: "06:00" }],
    ["05:59", { rate: 1, until: "06:00" }],
    ["06:00", { until: "08:00" }],
    ["08:00", { rate: 2, until: "18:00" }],
    ["17:59", { rate: 2, until: "18:00" }],
    ["18:00", { until: "22:00" }],
    ["22:00", { rate: 1, until: "06:00" }],
  ])(
    "holds at %s from its first minute to before its last, also past midnight",
    (time, expected) => {
      expect(new RateSchedule(OFFICE).at(new Date(`2026-06-01T${time}:00`))).toEqual(expected);
    },
  );

  test("follows the local clock as it is set forward and back", () => {
    process.env["TZ"] = "Europe/Berlin";
    const night = new RateSchedule([{ from: 120, to: 180, rate: 5 }]);
    const limited = (times: string[]) =>
      times.filter((time) => night.at(new Date(time)).rate === 5);
    // The hour from 2 to 3 is left out in March, and comes twice in October.
    const march = ["2026-03-29T00:59Z", "2026-03-29T01:00Z", "2026-03-29T01:59Z"];
    expect(limited(march)).toEqual([]);
    const october = ["2026-10-24T23:59Z", "2026-10-25T00:00Z", "2026-10-25T01:59Z"];
    expect(limited([...october, "2026-10-25T02:00Z"])).toEqual(october.slice(1));
    process.env["TZ"] = "Asia/Kolkata";
    expect(limited(["2026-03-28T20:29Z", "2026-03-28T20:30Z", "2026-03-28T21:30Z"])).toEqual([
      "2026-03-28T20:30Z",
    ]);
  });

  test("that is always the same has no end", () => {
    expect(RateSchedule.always(7).at(new Date())).toEqual({ rate: 7 });
  });
});

test.each([
  ["20MiB", 20 * 1024 * 1024],
  [" 1.5 MB ", 1_500_000],
  ["1KiB", 1024],
  ["20", '"20" has no unit: write bytes per second with a unit, such as 20MiB'],
  ["20971520", '"20971520" has no unit: write bytes per second with a unit, such as 20MiB'],
  [
    "0",
    '"0" would stop every download: write bytes per second with a unit, such as 20MiB, or omit it for no limit',
  ],
  [
    "0MiB",
    '"0MiB" would stop every download: write bytes per second with a unit, such as 20MiB, or omit it for no limit',
  ],
  ["-5MiB", '"-5MiB" is negative: write bytes per second with a unit, such as 20MiB'],
  ["1023B", '"1023B" is less than 1 KiB per second: write more, such as 20MiB'],
  ["0.1B", '"0.1B" is less than 1 KiB per second: write more, such as 20MiB'],
  ["20MiB/s", '"20MiB/s" says "per second" twice: write 20MiB'],
  [
    "100 Mbit/s",
    '"100 Mbit/s" is not a valid rate: write bytes per second with a unit, such as 20MiB (100 Mbit/s are 12.5MB)',
  ],
  ["99999999TiB", '"99999999TiB" is more than any line carries: omit it'],
  ["fast", '"fast" is not a valid rate: write bytes per second with a unit, such as 20MiB'],
  ["unlimited", '"unlimited" is not a valid rate: omit it for no limit'],
  ["Off", '"Off" is not a valid rate: omit it for no limit'],
  ["", '"" is not a valid rate: write bytes per second with a unit, such as 20MiB'],
  [
    `9${" ".repeat(90_000)}s`,
    `"9${" ".repeat(76)}..." is not a valid rate: write bytes per second with a unit, such as 20MiB`,
  ],
])("the rate %j is read, or said to be wrong", (text, expected) => {
  expect(parseRate(text)).toEqual(expected);
});
