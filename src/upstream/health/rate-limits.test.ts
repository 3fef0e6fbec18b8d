import { expect, test } from "bun:test";
import { RateLimits } from "./rate-limits.ts";

function limits() {
  const clock = { now: 0 };
  return { clock, subject: new RateLimits({ upstream: "reg.test", now: () => clock.now }) };
}

test("Docker Hub's headers are a budget for the length of their window", () => {
  const { clock, subject } = limits();
  subject.readHeaders("me", headers("100;w=21600", "76;w=21600"));
  expect(subject.budget("me")).toEqual({ remaining: 76, limit: 100, window: 21_600 });
  expect(subject.budget("anonymous")).toBeUndefined();
  expect(subject.budgetResetsIn("anonymous")).toBeUndefined();
  clock.now = 600_000;
  expect(subject.budgetResetsIn("me")).toBe(21_000_000);
  clock.now = 21_600_000;
  expect(subject.budget("me")).toBeUndefined();
  expect(subject.budgetResetsIn("me")).toBeUndefined();
});

test.each([
  ["11;w=60", "100", false],
  ["10;w=60", "100", true],
  ["0;w=60", "100", true],
  ["5", "20", true],
  ["6", "20", false],
])("a budget of %s remaining out of %s is low: %p", (remaining, limit, low) => {
  const { subject } = limits();
  subject.readHeaders("me", headers(limit, remaining));
  expect(subject.isBudgetLow("me")).toBe(low);
});

test("missing and malformed headers are ignored", () => {
  const { subject } = limits();
  subject.readHeaders("me", headers("x", "many"));
  subject.readHeaders("me", new Headers());
  expect(subject.budget("me")).toBeUndefined();
  expect(subject.isBudgetLow("me")).toBe(false);
});

test("a 429 blocks the account that got it, until Retry-After has passed", () => {
  const { clock, subject } = limits();
  subject.rateLimited("me", "metadata", 90);
  expect(subject.fault("me", "metadata")?.detail).toMatchObject({ retryAfter: 90 });
  expect(subject.fault("me", "blob")).toBeUndefined();
  expect(subject.fault("other", "metadata")).toBeUndefined();
  clock.now = 60_500;
  expect(subject.fault("me", "metadata")?.detail).toMatchObject({ retryAfter: 30 });
  clock.now = 90_000;
  expect(subject.fault("me", "metadata")).toBeUndefined();
});

test("what nobody waits for rests after a 429, and while the budget is low, until that is over", () => {
  const { clock, subject } = limits();
  expect(subject.rest("me")).toBeUndefined();
  subject.rateLimited("me", "blob", 90);
  expect(subject.rest("me")).toEqual({ reason: "limited", left: 90_000 });
  expect(subject.rest("other")).toBeUndefined();
  clock.now = 90_000;
  expect(subject.rest("me")).toBeUndefined();
  // The back-off of manifests is longer than a Retry-After that is over at once.
  subject.rateLimited("me", "metadata", 0);
  expect(subject.rest("me")).toEqual({ reason: "limited", left: 10_000 });
  clock.now = 100_000;
  expect(subject.rest("me")).toBeUndefined();
  subject.readHeaders("me", headers("100;w=21600", "10;w=21600"));
  clock.now = 160_000;
  expect(subject.rest("me")).toEqual({
    reason: "budget",
    left: 21_540_000,
    budget: { remaining: 10, limit: 100, window: 21_600 },
  });
});

test("one caller probes after each back-off, which grows while the probes get a 429", () => {
  const { clock, subject } = limits();
  const probedAt: number[] = [];
  const rateLimitedFor = (seconds: number): void => {
    // Concurrent requests all get the 429.
    for (let i = 0; i < 50; i += 1) subject.rateLimited("me", "metadata", seconds);
  };
  rateLimitedFor(1);
  for (; clock.now < 180_000; clock.now += 500) {
    const backsOff = Array.from({ length: 50 }, () => subject.shouldBackOff("me"));
    if (!backsOff.includes(false)) continue;
    expect(backsOff.filter((shouldWait) => !shouldWait)).toHaveLength(1);
    probedAt.push(clock.now / 1000);
    rateLimitedFor(1);
  }
  expect(probedAt).toEqual([10, 30, 70, 130]);
  expect(subject.fault("me", "metadata")).toBeUndefined();
  subject.succeeded("me");
  expect(subject.shouldBackOff("me")).toBe(false);
  subject.rateLimited("me", "metadata", 90);
  clock.now += 89_999;
  expect(subject.shouldBackOff("me")).toBe(true);
  clock.now += 1;
  expect(subject.shouldBackOff("me")).toBe(false);
});

test.each(["blob", "list"] as const)("a 429 for a %s does not block manifests", (kind) => {
  const { subject } = limits();
  subject.rateLimited("me", kind, 5);
  expect(subject.fault("me", kind)).toBeDefined();
  expect(subject.fault("me", "metadata")).toBeUndefined();
  expect(subject.shouldBackOff("me")).toBe(false);
});

test("a 429 blocks for at most an hour", () => {
  const { clock, subject } = limits();
  subject.rateLimited("me", "metadata", 86_400);
  clock.now = 3_600_000;
  expect(subject.fault("me", "metadata")).toBeUndefined();
});

function headers(limit: string, remaining: string): Headers {
  return new Headers({ "ratelimit-limit": limit, "ratelimit-remaining": remaining });
}
