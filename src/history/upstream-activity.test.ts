import { expect, test } from "bun:test";
import { UpstreamActivity } from "./upstream-activity.ts";

function activityAt(now = 0) {
  const state = { now };
  return { state, activity: new UpstreamActivity(() => state.now) };
}

function totalsOf(activity: UpstreamActivity) {
  return new Map(activity.totals).get("docker.io");
}

test("what an upstream answers counts by what it says of the upstream", () => {
  const { activity } = activityAt();
  for (const status of [200, 206, 304, 307, 401, 404]) activity.responded("docker.io", status, 10);
  for (const status of [500, 502, 503]) activity.responded("docker.io", status, 10);
  activity.responded("docker.io", 429, 10);
  activity.failed("docker.io");
  expect(totalsOf(activity)).toMatchObject({ answered: 6, failed: 4, limited: 1, answeredMs: 60 });
  expect(new Map(activity.totals).has("ghcr.io")).toBe(false);
});

test("the latency is the median of the last five minutes", () => {
  const { activity, state } = activityAt();
  activity.responded("docker.io", 200, 10_000);
  expect(activity.latency("docker.io")).toBe(10_000);
  state.now = 300_000;
  expect(activity.latency("docker.io")).toBeUndefined();
  for (const milliseconds of [30, 10, 2000]) activity.responded("docker.io", 200, milliseconds);
  // Errors come fast, and say nothing of answers.
  for (let count = 0; count < 10; count += 1) activity.responded("docker.io", 503, 1);
  expect(activity.latency("docker.io")).toBe(30);
  for (let count = 0; count < 1000; count += 1) activity.responded("docker.io", 200, 7);
  expect(activity.latency("docker.io")).toBe(7);
});

test("the speed is that of large downloads, without the wait for their headers", () => {
  const { activity } = activityAt();
  activity.responded("docker.io", 200, 100);
  activity.downloaded("docker.io", 1000, 5000);
  activity.downloaded("docker.io", 1_000_000, 600);
  expect(totalsOf(activity)).toMatchObject({ downloadedBytes: 1_000_000, downloadedMs: 500 });
  activity.downloaded("docker.io", 1_000_000, 50);
  expect(totalsOf(activity)?.downloadedMs).toBe(501);
});
