import { expect, test } from "bun:test";
import { PrivateNames } from "../../access/verdicts/private-names.ts";
import { load } from "../../config/configtest/load-text.ts";
import { parseRepositoryName } from "../../oci/names.ts";
import { Concealment } from "./concealment.ts";

const YAML = `listen: 127.0.0.1:5000
upstreams:
  reg.test: { access: [{ repositories: [team/**], access: upstream }, { repositories: [no/**], access: denied }] }
  other.test:5000: {}
`;

/** Whatever is called `shown` is public. */
function concealment(yaml = YAML): Concealment {
  const { upstreams } = load(yaml);
  return new Concealment(
    new PrivateNames({
      upstreams: () => [...upstreams].map(([name, { access }]) => [name, access]),
      visibility: {
        publicAmong: async (_upstream, repositories) =>
          repositories.filter((name) => name === parseRepositoryName("team/shown")),
      },
    }),
  );
}

test.each<[string, unknown, unknown]>([
  [
    "items that are private images",
    { items: [{ image: "reg.test/team/a:1" }, { image: "reg.test/open:1" }] },
    { items: [{ image: "reg.test/open:1" }], hidden: 1 },
  ],
  [
    "names in lists",
    {
      tags: [
        "reg.test/team/a:1",
        "reg.test/team/shown:1",
        "other.test:5000/x@sha256:0",
        "gone.test/x",
      ],
    },
    { tags: ["reg.test/team/shown:1", "other.test:5000/x@sha256:0"], hidden: 2 },
  ],
  [
    "names in sentences, whose items stay",
    { problems: ["reg.test/team/a:1 could not be pulled", "nothing of reg.test/no/b is here"] },
    { problems: ["(private):1 could not be pulled", "nothing of (private) is here"] },
  ],
  [
    "lists in lists, and what was hidden before",
    {
      hidden: 2,
      jobs: [{ result: { items: [{ image: "reg.test/team/a" }, { pattern: "reg.test/*" }] } }],
    },
    { hidden: 3, jobs: [{ result: { items: [{ pattern: "reg.test/*" }] } }] },
  ],
  [
    "nothing of URLs, paths, media types and agents",
    {
      a: "https://reg.test/team/a",
      b: "/data/reg.test/team/a",
      c: "application/vnd.oci.image.v1",
      d: "10.0.0.0/8",
    },
    {
      a: "https://reg.test/team/a",
      b: "/data/reg.test/team/a",
      c: "application/vnd.oci.image.v1",
      d: "10.0.0.0/8",
    },
  ],
  ["a list", [{ source: "reg.test/team/a" }], []],
])("of an answer are left out: %s", async (_what, value, expected) => {
  expect(await concealment().answer(value)).toEqual(expected);
});

test("where nothing is private, answers are as they are", async () => {
  const value = { items: [{ image: "gone.test/x" }] };
  expect(await concealment("upstreams: { reg.test: { access: open } }").answer(value)).toBe(value);
});
