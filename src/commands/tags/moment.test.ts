import { expect, test } from "bun:test";
import { localTime, parseFuture, parsePast } from "./moment.ts";

/** As local times, whatever the zone of this machine is. */
const NOW = new Date(2026, 10, 29, 10, 4, 30).getTime();
const shown = (moment: { readonly at: number } | undefined): string | undefined =>
  moment && localTime(moment.at);

test("a moment that is over is a duration ago, the end of a day, or a time", () => {
  const cases: [text: string, expected: string | undefined][] = [
    ["now", "2026-11-29 10:04"],
    ["3d", "2026-11-26 10:04"],
    ["1h30m", "2026-11-29 08:34"],
    ["yesterday", "2026-11-28 23:59"],
    ["Yesterday ", "2026-11-28 23:59"],
    ["2026-11-20", "2026-11-20 23:59"],
    // Of today, what there is until now.
    ["2026-11-29", "2026-11-29 10:04"],
    ["2026-11-20T14:30", "2026-11-20 14:30"],
    ["2026-11-20 14:30:59", "2026-11-20 14:30"],
    // The cache says that it is in the future.
    ["2026-12-01", "2026-12-01 23:59"],
    ["2026-02-30", undefined],
    ["2026-02-30T10:00", undefined],
    ["2026-11-20T25:00", undefined],
    ["20.11.2026", undefined],
    ["last week", undefined],
    ["", undefined],
  ];
  expect(cases.map(([text]) => [text, shown(parsePast(text, NOW))])).toEqual(cases);
});

test("a time with a zone is that one, wherever it is read", () => {
  expect(parsePast("2026-11-20T14:30Z", NOW)?.at).toBe(Date.UTC(2026, 10, 20, 14, 30));
  expect(parsePast("2026-11-20 14:30+02:00", NOW)?.at).toBe(Date.UTC(2026, 10, 20, 12, 30));
});

test("an end is a duration from now, the end of a day, or a time", () => {
  const cases: [text: string, expected: string | undefined][] = [
    ["7d", "2026-12-06 10:04"],
    ["2026-12-24", "2026-12-24 23:59"],
    ["2026-12-24T18:00", "2026-12-24 18:00"],
    ["tomorrow", undefined],
    ["yesterday", undefined],
  ];
  expect(cases.map(([text]) => [text, shown(parseFuture(text, NOW))])).toEqual(cases);
});
