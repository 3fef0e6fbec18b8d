import { expect, test } from "bun:test";
import type { Overview } from "../../api/overview.ts";
import { until } from "../../../test/harness/waiting.ts";
import { EventFeed } from "./event-feed.ts";
import { ProblemError } from "./problem-details.ts";

/** Reads chunks as text; a chunk is an event. */
function readerOf(response: Response) {
  const reader = (response.body ?? expect.unreachable()).getReader();
  const decoder = new TextDecoder();
  return {
    async next(): Promise<string | undefined> {
      const { value, done } = await reader.read();
      return done ? undefined : decoder.decode(value);
    },
    leave: () => reader.cancel(),
  };
}

/** Counts how often the overview was made. */
function feedOf() {
  const made = { count: 0 };
  const feed = new EventFeed();
  feed.tellsOverview(async () => {
    made.count += 1;
    // Of an overview, the feed reads no more than the moment.
    return { at: made.count, version: "1" } as Overview;
  });
  return { feed, made };
}

test("fifty readers get what was made once, and nothing is made for none", async () => {
  const { feed, made } = feedOf();
  feed.publish("pull", []);
  expect(made.count).toBe(0);
  const readers = Array.from({ length: 50 }, () => readerOf(feed.open()));
  for (const reader of readers) {
    const overview = 'event: overview\nid: 1\ndata: {"at":1,"version":"1"}\n\n';
    expect(await reader.next()).toBe(overview);
    expect(await reader.next()).toBe("retry: 2000\n\n");
  }
  expect(made.count).toBe(1);
  feed.publish("pull", [{ id: 7 }]);
  for (const reader of readers) {
    expect(await reader.next()).toBe('event: pull\nid: 2\ndata: [{"id":7}]\n\n');
    await reader.leave();
  }
  await until(() => feed.readers === 0, { what: "the readers to have left" });
});

test("a reader that does not read gets the newest events, and holds no more of them", async () => {
  const { feed } = feedOf();
  const reader = readerOf(feed.open());
  expect(await reader.next()).toContain("event: overview");
  for (let number = 0; number < 1000; number += 1) feed.publish("pull", number);
  const numbers: string[] = [];
  for (let count = 0; count < 32; count += 1) numbers.push((await reader.next()) ?? "");
  expect(numbers.at(-1)).toContain("data: 999\n");
  feed.close();
  expect(await reader.next()).toBeUndefined();
});

test("of what changes all the time, the last state is told", async () => {
  const { feed } = feedOf();
  const reader = readerOf(feed.open());
  await reader.next();
  await reader.next();
  for (let done = 0; done < 100; done += 1) feed.publishSoon("job", "a", { id: "a", done });
  feed.publishSoon("job", "b", { id: "b" });
  expect(await reader.next()).toContain('data: {"id":"a","done":99}');
  expect(await reader.next()).toContain('data: {"id":"b"}');
  await reader.leave();
});

test("the readers are bounded in number, and a feed that is closed takes none", async () => {
  const { feed } = feedOf();
  const refusal = () => {
    try {
      feed.open();
      return undefined;
    } catch (error) {
      return error instanceof ProblemError ? error.problem.status : error;
    }
  };
  for (let count = 0; count < 100; count += 1) feed.open();
  expect(refusal()).toBe(503);
  feed.close();
  expect(feed.readers).toBe(0);
  expect(refusal()).toBe(503);
});
