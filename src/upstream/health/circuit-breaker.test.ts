import { expect, test } from "bun:test";
import { Fault } from "../../oci/fault.ts";
import { CircuitBreaker } from "./circuit-breaker.ts";

const upstream = "reg.test";
const unreachable = new Fault({ kind: "upstream-unreachable", upstream, reason: "away" });
const limited = new Fault({ kind: "upstream-rate-limited", upstream, retryAfter: 90 });
const missing = new Fault({ kind: "not-found", what: "blob", upstream, name: "x" });

function health(random = 1) {
  const clock = { now: 0 };
  const date = () => 1_000_000 + clock.now;
  return {
    clock,
    health: new CircuitBreaker({ now: () => clock.now, random: () => random, date }),
  };
}

test("it ails until it answers", () => {
  const { health: subject } = health();
  expect(subject.isUnhealthy()).toBe(false);
  subject.failed(unreachable);
  expect(subject.isUnhealthy()).toBe(true);
  expect(subject.fault).toBe(unreachable);
  subject.succeeded();
  expect(subject.isUnhealthy()).toBe(false);
  expect(subject.fault).toBeUndefined();
});

test("the cool-down doubles from 5 s to 60 s", () => {
  const { clock, health: subject } = health();
  const waits = [5, 10, 20, 40, 60, 60].map((seconds) => {
    subject.failed(unreachable);
    clock.now += seconds * 1000 - 1;
    const before = subject.isUnhealthy();
    clock.now += 1;
    return before && !subject.isUnhealthy();
  });
  expect(waits).toEqual([true, true, true, true, true, true]);
});

test("failures at once are one failure", () => {
  const { clock, health: subject } = health();
  for (let i = 0; i < 10; i += 1) subject.failed(unreachable);
  clock.now = 5000;
  expect(subject.isUnhealthy()).toBe(false);
});

test("jitter takes at most half of the wait", () => {
  const { clock, health: subject } = health(0);
  subject.failed(unreachable);
  clock.now = 2499;
  expect(subject.isUnhealthy()).toBe(true);
  clock.now = 2500;
  expect(subject.isUnhealthy()).toBe(false);
});

test("a limit is an answer: it says nothing against the host", () => {
  const { health: subject } = health();
  subject.failed(unreachable);
  subject.failed(limited);
  expect(subject.isUnhealthy()).toBe(false);
});

test("after three failures in a row the circuit opens, one tries, and the others are told why", () => {
  const { clock, health: subject } = health();
  subject.failed(unreachable);
  subject.failed(unreachable);
  expect(subject.state).toBe("closed");
  expect(subject.admit()).toBeUndefined();
  subject.failed(unreachable);
  expect(subject.state).toBe("open");
  expect(subject.admit()).toBe(unreachable);
  clock.now = 5000;
  expect(subject.admit()).toBeUndefined();
  expect(subject.state).toBe("trying");
  expect(subject.admit()).toBe(unreachable);
  subject.failed(unreachable);
  expect(subject.state).toBe("open");
  expect(subject.admit()).toBe(unreachable);
  clock.now = 15_000;
  expect(subject.admit()).toBeUndefined();
  subject.abandoned();
  expect(subject.admit()).toBeUndefined();
  subject.succeeded();
  expect(subject.state).toBe("closed");
  expect(subject.admit()).toBeUndefined();
});

test("saying that something is missing is an answer", () => {
  const { health: subject } = health();
  subject.failed(missing);
  expect(subject.isUnhealthy()).toBe(false);
  subject.failed(unreachable);
  subject.failed(missing);
  expect(subject.isUnhealthy()).toBe(false);
});

test.each([
  [500, true],
  [503, true],
  [400, false],
])("status %i ails: %p", (status, ails) => {
  const { health: subject } = health();
  subject.failed(new Fault({ kind: "upstream-failed", upstream, status }));
  expect(subject.isUnhealthy()).toBe(ails);
});

test("bodies that break in a row open the circuit, whatever headers came before each", () => {
  const { clock, health: subject } = health();
  for (let i = 0; i < 3; i += 1) {
    expect(subject.state).toBe("closed");
    subject.succeeded();
    subject.bodyBroke(unreachable);
  }
  expect([subject.state, subject.isUnhealthy(), subject.fault]).toEqual([
    "open",
    true,
    unreachable,
  ]);
  clock.now = 5000;
  expect(subject.admit()).toBeUndefined();
  subject.succeeded();
  expect(subject.state).toBe("closed");
  // One more is enough now, and the wait is longer.
  subject.bodyBroke(unreachable);
  clock.now += 9999;
  expect(subject.admit()).toBe(unreachable);
  clock.now += 1;
  expect(subject.admit()).toBeUndefined();
  subject.succeeded();
  subject.bodyCompleted();
  subject.bodyBroke(unreachable);
  expect(subject.state).toBe("closed");
  expect(subject.isUnhealthy()).toBe(false);
});

test("who was found to lie is not asked for ten minutes, whatever else it answers meanwhile", () => {
  const { clock, health: subject } = health();
  const untrue = new Fault({
    kind: "upstream-invalid-response",
    upstream,
    reason: "another digest",
  });
  subject.eject(untrue);
  subject.succeeded();
  subject.bodyCompleted();
  subject.failed(missing);
  subject.failed(unreachable);
  clock.now = 599_999;
  expect([subject.state, subject.isUnhealthy()]).toEqual(["open", true]);
  expect(subject.since).toBe(1_000_000);
  clock.now = 600_000;
  expect(subject.admit()).toBeUndefined();
  expect(subject.state).toBe("trying");
  subject.succeeded();
  expect([subject.state, subject.since]).toEqual(["closed", undefined]);
  expect(subject.last?.fault).toBe(unreachable);
});
