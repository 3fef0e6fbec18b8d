import { expect, test } from "bun:test";
import { loadSettings } from "../load.ts";
import { ConfigError } from "../parsing/problems.ts";
import { diffSettings } from "../settings-diff.ts";

function load(text: string) {
  return loadSettings({
    flags: { config: "entrepot.yaml" },
    readFile: () => text,
    hasProgram: () => true,
  });
}

function problems(text: string): string[] {
  try {
    load(text);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message.split("\n");
  }
}

test("lists of images are read, with what holds where nothing is written", () => {
  const { warm = [], pulledWithin } = load(`
warm:
  base:
    images: ["docker.io/library/node:>=22 <25", nginx]
  nightly:
    from: [pulls]
    schedule: "30 3 * * *"
    timezone: Europe/Berlin
    platforms: [linux/arm64]
    referrers: true
    pin: true
    max: 3
readiness: { pulledWithin: 2d }
`);
  const [base, nightly] = warm;
  expect(base).toMatchObject({
    name: "base",
    images: [
      { kind: "tags", repository: "library/node" },
      { kind: "image", text: "docker.io/library/nginx:latest" },
    ],
    from: [],
    platforms: [],
    referrers: false,
    pin: false,
    max: 20,
    schedule: { text: "@daily" },
  });
  expect(nightly).toMatchObject({ from: ["pulls"], pin: true, max: 3, referrers: true });
  // 3:30 in Berlin, before and after the clocks are set forward.
  const next = nightly?.schedule.next(Date.UTC(2027, 2, 27, 12)) ?? 0;
  expect(new Date(next).toISOString()).toBe("2027-03-28T01:30:00.000Z");
  expect(new Date(nightly?.schedule.next(next) ?? 0).toISOString()).toBe(
    "2027-03-29T01:30:00.000Z",
  );
  expect(pulledWithin).toBe(2 * 86_400_000);
});

test.each([
  [
    'warm: { base: { images: [nginx], schedule: "61 * * * *" } }',
    `entrepot.yaml:1:44: warm.base.schedule: "61 * * * *" is no schedule (Invalid value for minute: 61): write five fields`,
  ],
  [
    'warm: { base: { images: [nginx], schedule: "* * * * * *" } }',
    'entrepot.yaml:1:44: warm.base.schedule: "* * * * * *" is no schedule (it has 6 fields): write five',
  ],
  [
    'warm: { base: { images: [nginx], schedule: "" } }',
    'entrepot.yaml:1:44: warm.base.schedule: "" is no schedule (it has 0 fields): write five',
  ],
  [
    'warm: { base: { images: [nginx], schedule: "@reboot" } }',
    'entrepot.yaml:1:44: warm.base.schedule: "@reboot" is no schedule: write five',
  ],
  [
    'warm: { base: { images: [nginx], schedule: "0 0 31 2 *" } }',
    'entrepot.yaml:1:44: warm.base.schedule: "0 0 31 2 *" never comes',
  ],
  [
    "warm: { base: { images: [nginx], timezone: Mars/Base } }",
    'entrepot.yaml:1:44: warm.base.timezone: "Mars/Base" is no time zone',
  ],
  [
    'warm:\n  base:\n    images:\n      - nginx\n      - "node:>=two"',
    'entrepot.yaml:5:9: warm.base.images[1]: "node:>=two" has ">=two", which is neither a tag nor a range of versions',
  ],
  ["warm: { base: {} }", "entrepot.yaml:1:15: warm.base: has no images: add images or from"],
  ["warm: { base: { image: [nginx] } }", 'unknown key "image": did you mean "images"?'],
  ["warm: { base: { images: [nginx], platforms: [arm] } }", "is not a platform"],
  ["warm: { base: { images: [nginx], max: 0 } }", "warm.base.max: 0 is too small"],
  [
    "warm: { base: { images: [nginx], from: [moon] } }",
    'warm.base.from[0]: must be one of "cluster", "pulls"',
  ],
  [
    `warm: { base: { images: [${Array.from({ length: 501 }, (_, at) => `"a${at}:>=1"`).join()}] } }`,
    "has too many ranges of versions and patterns: the maximum is 500",
  ],
  [
    "warm: { base: { from: [pulls, cluster] } }",
    "entrepot.yaml:1:31: warm.base.from[1]: cluster is read only where kubernetes is configured",
  ],
  ["warm: [nginx]", "entrepot.yaml:1:7: warm: "],
  ['warm: { "a b": { images: [nginx] } }', "is not a name of up to 64 letters"],
  ["readiness: { pulledWithin: soon }", 'readiness.pulledWithin: "soon" is not a valid duration'],
])("%s is refused, with its place", (text, message) => {
  expect(problems(text).join("\n")).toContain(message);
});

test("a changed list applies at once", () => {
  const [before, after] = [
    "warm: { one: { images: [nginx] }, two: { images: [nginx] } }",
    "warm: { two: { images: [redis] }, three: { images: ['node:22.*'] } }",
  ].map(load);
  if (!before || !after) throw new Error("nothing was loaded");
  expect(diffSettings(before, after)).toEqual({
    immediate: ["warm.one: removed", "warm.two: changed", "warm.three: added"],
    needsRestart: [],
  });
});
