import { expect, test } from "bun:test";
import { configErrorOf, load } from "./configtest/load-text.ts";

test("maxRate is read for all registries and for each", () => {
  const { maxRate, upstreams } = load(
    `maxRate: 20MiB
upstreams:
  a.test: { maxRate: 1MB }
  b.test:
    maxRate:
      - { from: 8:00, to: "18:00", rate: 20MiB }
      - { from: 18:00, to: "24:00", rate: 40MiB }
      - { from: "00:00", to: "06:00", rate: 1MiB }
  c.test: {}
`,
  );
  const all = [maxRate, ...[...upstreams.values()].map((upstream) => upstream.maxRate)];
  const window = (from: string, to: string, mebibytes: number) => ({
    from,
    to,
    rate: mebibytes * 1024 * 1024,
  });
  expect(JSON.parse(JSON.stringify(all))).toEqual([
    20 * 1024 * 1024,
    1e6,
    [window("08:00", "18:00", 20), window("18:00", "24:00", 40), window("00:00", "06:00", 1)],
    null,
  ]);
});

test("each mistake of a schedule is told with its place and what to write instead", () => {
  expect(
    configErrorOf(() =>
      load(`maxRate: []
upstreams:
  a.test:
    maxRate:
      - { from: "08:00", to: "08:00", rate: 20MiB }
      - { from: "24:00", to: "08:00", rate: 20MiB }
      - { from: "25:00", to: "8", rate: 20 }
      - { from: 8, rate: 0MiB, until: x }
      - 20MiB
      - { from: "22:00", to: "06:00", rate: 1MiB }
      - { from: "05:59", to: "07:00", rate: 1MiB }
      - { from: [1], to: null, rate: true }
  b.test: { maxRate: }
  c.test: { maxRate: 20 }
  d.test: { maxRate: { from: "08:00" } }
`),
    ),
  ).toBe(
    `@:1:10: maxRate: is empty: add { from: "08:00", to: "18:00", rate: 20MiB }, or omit it for no limit
@:5:30: upstreams.a.test.maxRate[0].to: is the same as from: for the whole day, write from: "00:00" and to: "24:00"
@:6:17: upstreams.a.test.maxRate[1].from: 24:00 is the end of a day: write 00:00, at which the next one begins
@:7:17: upstreams.a.test.maxRate[2].from: "25:00" is not a time of day: write hours and minutes from 00:00 to 24:00, such as "08:00"
@:7:30: upstreams.a.test.maxRate[2].to: "8" is not a time of day: write hours and minutes from 00:00 to 24:00, such as "08:00"
@:7:41: upstreams.a.test.maxRate[2].rate: "20" has no unit: write bytes per second with a unit, such as 20MiB
@:8:9: upstreams.a.test.maxRate[3]: unknown key "until". Allowed keys: from, to, rate
@:8:9: upstreams.a.test.maxRate[3].to: is missing: write to, such as "08:00"
@:8:17: upstreams.a.test.maxRate[3].from: "8" is not a time of day: write hours and minutes from 00:00 to 24:00, such as "08:00"
@:8:26: upstreams.a.test.maxRate[3].rate: "0MiB" would stop every download: write bytes per second with a unit, such as 20MiB, or omit it for no limit
@:9:9: upstreams.a.test.maxRate[4]: must be a mapping, such as { from: "08:00", to: "18:00", rate: 20MiB }
@:11:9: upstreams.a.test.maxRate[6]: overlaps 22:00 to 06:00 above: each time of day can have one rate
@:12:17: upstreams.a.test.maxRate[7].from: must be a string, such as "08:00"
@:12:26: upstreams.a.test.maxRate[7].to: is missing: write to, such as "08:00"
@:12:38: upstreams.a.test.maxRate[7].rate: must be a string, such as 20MiB
@:13:13: upstreams.b.test.maxRate: must be a rate, such as 20MiB, or a list, such as [{ from: "08:00", to: "18:00", rate: 20MiB }]. Omit it for no limit
@:14:22: upstreams.c.test.maxRate: "20" has no unit: write bytes per second with a unit, such as 20MiB
@:15:22: upstreams.d.test.maxRate: must be a rate, such as 20MiB, or a list, such as [{ from: "08:00", to: "18:00", rate: 20MiB }]. Omit it for no limit`.replaceAll(
      "@",
      "/etc/e.yaml",
    ),
  );
});
