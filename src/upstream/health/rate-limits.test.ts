import { expect, test } from "bun:test";
import { RateLimits } from "./rate-limits.ts";

function limits() {
  const clock = { now: 0 };
  return { clock, subject: new RateLimits({ upstream: "reg.test", now: () => clock.now }) };
}

test("the headers of Docker Hub are a budget, for as long as their window", () => {
  const { clock, subject } = limits();
  subject.readHeaders("me", headers("100;w=21600", "76;w=21600"));
  expect(subject.budget("me")).toEqual({ remaining: 76, limit: 100, window: 21_600 });
  expect(subject.budget("anonymous")).toBeUndefined();
  clock.now = 21_600_000;
  expect(subject.budget("me")).toBeUndefined();
});

test.each([
  ["11;w=60", "100", false],
  ["10;w=60", "100", true],
  ["0;w=60", "100", true],
  ["5", "20", true],
  ["6", "20", false],
])("%s of %s left is low: %p", (remaining, limit, low) => {
  const { subject } = limits();
  subject.readHeaders("me", headers(limit, remaining));
  expect(subject.isLow("me")).toBe(low);
});

test("headers that are none change nothing", () => {
  const { subject } = limits();
  subject.readHeaders("me", headers("x", "many"));
  subject.readHeaders("me", new Headers());
  expect(subject.budget("me")).toBeUndefined();
  expect(subject.isLow("me")).toBe(false);
});

test("a 429 holds for who got it, until its time is over", () => {
  const { clock, subject } = limits();
  subject.limited("me", "metadata", 90);
  expect(subject.fault("me", "metadata")?.detail).toMatchObject({ retryAfter: 90 });
  expect(subject.fault("me", "blob")).toBeUndefined();
  expect(subject.fault("other", "metadata")).toBeUndefined();
  clock.now = 60_500;
  expect(subject.fault("me", "metadata")?.detail).toMatchObject({ retryAfter: 30 });
  clock.now = 90_000;
  expect(subject.fault("me", "metadata")).toBeUndefined();
});

test("when a limit's time is over one finds out, and rests grow as long as it limits", () => {
  const { clock, subject } = limits();
  const asked: number[] = [];
  const limitedFor = (seconds: number): void => {
    // Those that were under way together are limited together.
    for (let i = 0; i < 50; i += 1) subject.limited("me", "metadata", seconds);
  };
  limitedFor(1);
  for (; clock.now < 180_000; clock.now += 500) {
    const told = Array.from({ length: 50 }, () => subject.shouldBackOff("me"));
    if (!told.includes(false)) continue;
    expect(told.filter((one) => !one)).toHaveLength(1);
    asked.push(clock.now / 1000);
    limitedFor(1);
  }
  expect(asked).toEqual([10, 30, 70, 130]);
  expect(subject.fault("me", "metadata")).toBeUndefined();
  subject.passed("me");
  expect(subject.shouldBackOff("me")).toBe(false);
  subject.limited("me", "metadata", 90);
  clock.now += 89_999;
  expect(subject.shouldBackOff("me")).toBe(true);
  clock.now += 1;
  expect(subject.shouldBackOff("me")).toBe(false);
});

test("who limits blobs is asked for manifests", () => {
  const { subject } = limits();
  subject.limited("me", "blob", 5);
  expect(subject.fault("me", "blob")).toBeDefined();
  expect(subject.fault("me", "metadata")).toBeUndefined();
  expect(subject.shouldBackOff("me")).toBe(false);
});

test("nobody is silent for more than an hour", () => {
  const { clock, subject } = limits();
  subject.limited("me", "metadata", 86_400);
  clock.now = 3_600_000;
  expect(subject.fault("me", "metadata")).toBeUndefined();
});

function headers(limit: string, remaining: string): Headers {
  return new Headers({ "ratelimit-limit": limit, "ratelimit-remaining": remaining });
}
