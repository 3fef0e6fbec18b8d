import { expect, test } from "bun:test";
import type { NewEvent } from "../../../events/event.ts";
import type { Override } from "../../../store/override-store.ts";
import { digestNumber, repositoryRef, tag } from "../../../store/storetest/sample-names.ts";
import { HoldNews } from "./hold-news.ts";

const digest = digestNumber(1);
const image = { repo: repositoryRef("docker.io", "library/node"), tag: tag("24") };

test("what is held, released, ordered and ended is told to the log and as events", () => {
  const events: NewEvent[] = [];
  const lines: unknown[] = [];
  const log = (_: unknown, text?: string): void => void lines.push(text);
  const news = new HoldNews({ tell: (event) => events.push(event), log: { warn: log, info: log } });
  const hold = {
    digest,
    because: "too-young",
    text: "it moved",
    until: Date.UTC(2026, 11, 1),
  } as const;
  const override: Override = {
    id: "1",
    kind: "release",
    pattern: `docker.io/library/node:24@${digest}`,
    digest,
    reason: "checked",
    by: "ann",
    since: 1,
  };
  news.held({ ...image, hold });
  news.released({ ...image, hold }, override);
  news.released({ ...image, hold }, undefined);
  news.ordered(override);
  news.ordered({ ...override, ended: { at: 2, by: "bob", reason: "over" } });
  expect(events.map(({ type, subject, data }) => [type, subject, data.message])).toEqual([
    ["tag.held", "docker.io/library/node:24", "it moved"],
    [
      "tag.released",
      "docker.io/library/node:24",
      "docker.io/library/node:24 is served as its registry says again, by ann",
    ],
    [
      "tag.released",
      "docker.io/library/node:24",
      "docker.io/library/node:24 is served as its registry says again",
    ],
    [
      "override.made",
      override.pattern,
      `release of ${override.pattern} was ordered by ann: checked`,
    ],
    ["override.ended", override.pattern, `release of ${override.pattern} was ended by bob: over`],
  ]);
  expect(events[0]?.data).toMatchObject({
    upstream: "docker.io",
    repository: "library/node",
    tag: "24",
    digest,
    because: "too-young",
    until: "2026-12-01T00:00:00.000Z",
  });
  expect(lines).toEqual([
    "held: it moved",
    "no longer held",
    "no longer held",
    "override made",
    "override ended",
  ]);
});
