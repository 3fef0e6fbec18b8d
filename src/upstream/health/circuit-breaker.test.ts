import { expect, test } from "bun:test";
import { Fault } from "../../oci/fault.ts";
import { CircuitBreaker } from "./circuit-breaker.ts";

const upstream = "reg.test";
const unreachable = new Fault({ kind: "upstream-unreachable", upstream, reason: "down" });
const limited = new Fault({ kind: "upstream-rate-limited", upstream, retryAfter: 90 });
const missing = new Fault({ kind: "not-found", what: "blob", upstream, name: "x" });

function breaker(random = 1) {
  const clock = { now: 0 };
  const date = () => 1_000_000 + clock.now;
  return {
    clock,
    subject: new CircuitBreaker({ now: () => clock.now, random: () => random, date }),
  };
}

test("a host is unhealthy from a failure until its next response", () => {
  const { subject } = breaker();
  expect(subject.isUnhealthy()).toBe(false);
  subject.failed(unreachable);
  expect(subject.isUnhealthy()).toBe(true);
  expect(subject.fault).toBe(unreachable);
  subject.succeeded();
  expect(subject.isUnhealthy()).toBe(false);
  expect(subject.fault).toBeUndefined();
});

test("the cool-down doubles from 5 s to 60 s", () => {
  const { clock, subject } = breaker();
  const waits = [5, 10, 20, 40, 60, 60].map((seconds) => {
    subject.failed(unreachable);
    clock.now += seconds * 1000 - 1;
    const before = subject.isUnhealthy();
    clock.now += 1;
    return before && !subject.isUnhealthy();
  });
  expect(waits).toEqual([true, true, true, true, true, true]);
});

test("concurrent failures do not lengthen the cool-down", () => {
  const { clock, subject } = breaker();
  for (let i = 0; i < 10; i += 1) subject.failed(unreachable);
  clock.now = 5000;
  expect(subject.isUnhealthy()).toBe(false);
});

test("jitter takes at most half of the cool-down", () => {
  const { clock, subject } = breaker(0);
  subject.failed(unreachable);
  clock.now = 2499;
  expect(subject.isUnhealthy()).toBe(true);
  clock.now = 2500;
  expect(subject.isUnhealthy()).toBe(false);
});

test("a 429 counts as a response, and not as a failure", () => {
  const { subject } = breaker();
  subject.failed(unreachable);
  subject.failed(limited);
  expect(subject.isUnhealthy()).toBe(false);
});

test("the circuit opens after three consecutive failures and admits one probe when half-open", () => {
  const { clock, subject } = breaker();
  subject.failed(unreachable);
  subject.failed(unreachable);
  expect(subject.state).toBe("closed");
  expect(subject.admit()).toBeUndefined();
  subject.failed(unreachable);
  expect(subject.state).toBe("open");
  expect(subject.admit()).toBe(unreachable);
  clock.now = 5000;
  expect(subject.admit()).toBeUndefined();
  expect(subject.state).toBe("half-open");
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

test("a 404 counts as a response, and not as a failure", () => {
  const { subject } = breaker();
  subject.failed(missing);
  expect(subject.isUnhealthy()).toBe(false);
  subject.failed(unreachable);
  subject.failed(missing);
  expect(subject.isUnhealthy()).toBe(false);
});

const ofStatus = (status: number) => new Fault({ kind: "upstream-failed", upstream, status });
const about = (kind: string, repository: string) => ({ kind, repository });

test.each([400, 405, 500, 501, 503])("status %i is a response", (status) => {
  const { subject } = breaker();
  subject.failed(unreachable);
  subject.failed(unreachable);
  subject.failed(ofStatus(status), about("manifest", "app"));
  expect([subject.isUnhealthy(), subject.fault]).toEqual([false, undefined]);
  subject.failed(unreachable);
  expect(subject.state).toBe("closed");
});

test.each<[string, [kind: string, repository: string][], string]>([
  ["one repository", Array.from({ length: 9 }, (_, i) => [`kind ${i % 3}`, "app"]), "closed"],
  ["one endpoint", Array.from({ length: 9 }, (_, i) => ["referrers", `app${i}`]), "closed"],
  [
    "few requests",
    [
      ["manifest", "one"],
      ["tags", "two"],
    ],
    "closed",
  ],
  [
    "everything",
    [
      ["manifest", "one"],
      ["tags", "two"],
      ["manifest", "one"],
    ],
    "open",
  ],
])("5xx for %s", (_, questions, state) => {
  const { subject } = breaker();
  for (const [kind, repository] of questions)
    subject.failed(ofStatus(500), about(kind, repository));
  expect(subject.state).toBe(state as typeof subject.state);
  expect(subject.isUnhealthy()).toBe(state === "open");
  // A server error of the probe confirms it.
  subject.probed(503);
  expect(subject.state).toBe(state as typeof subject.state);
  subject.probed(401);
  expect(subject.state).toBe("closed");
});

test("any response to a probe closes a circuit that unanswered requests opened", () => {
  const { subject } = breaker();
  for (let i = 0; i < 3; i += 1) subject.failed(unreachable);
  expect([subject.state, subject.isProbeUseful]).toEqual(["open", true]);
  subject.probed(502);
  expect([subject.state, subject.isProbeUseful]).toEqual(["closed", false]);
});

test("a host is wanted when a request fails, is refused or is answered without it", () => {
  let wanted = 0;
  const subject = new CircuitBreaker({ onWanted: () => (wanted += 1) });
  subject.admit();
  subject.isUnhealthy();
  expect(wanted).toBe(0);
  for (let i = 0; i < 3; i += 1) subject.failed(unreachable);
  expect(wanted).toBe(3);
  subject.admit();
  subject.isUnhealthy();
  expect(wanted).toBe(5);
});

test("three consecutive broken bodies open the circuit, although each began with a success", () => {
  const { clock, subject } = breaker();
  for (let i = 0; i < 3; i += 1) {
    expect(subject.state).toBe("closed");
    subject.succeeded();
    subject.bodyBroke(unreachable);
  }
  expect(subject.isProbeUseful).toBe(false);
  expect([subject.state, subject.isUnhealthy(), subject.fault]).toEqual([
    "open",
    true,
    unreachable,
  ]);
  clock.now = 5000;
  expect(subject.admit()).toBeUndefined();
  subject.succeeded();
  expect(subject.state).toBe("closed");
  // One more broken body opens it again now, for longer.
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

test("an ejected host stays ejected for ten minutes, whatever its pending requests return", () => {
  const { clock, subject } = breaker();
  const invalid = new Fault({
    kind: "upstream-invalid-response",
    upstream,
    reason: "another digest",
  });
  subject.eject(invalid);
  subject.succeeded();
  subject.bodyCompleted();
  subject.failed(missing);
  subject.failed(unreachable);
  clock.now = 599_999;
  subject.probed(200);
  expect([subject.state, subject.isUnhealthy(), subject.isProbeUseful]).toEqual([
    "open",
    true,
    false,
  ]);
  expect(subject.since).toBe(1_000_000);
  clock.now = 600_000;
  expect(subject.admit()).toBeUndefined();
  expect(subject.state).toBe("half-open");
  subject.succeeded();
  expect([subject.state, subject.since]).toEqual(["closed", undefined]);
  expect(subject.lastFailure?.fault).toBe(unreachable);
});

test("a request stays unanswered until the next answer; a ping is none for one that timed out", () => {
  const { clock, subject } = breaker();
  const failed = new Fault({ kind: "upstream-failed", upstream, status: 400 });
  const invalid = new Fault({ kind: "upstream-invalid-response", upstream, reason: "a web page" });
  const slow = new Fault({ kind: "upstream-timeout", upstream, waitedFor: "respond", seconds: 5 });
  for (const fault of [failed, invalid, unreachable, slow]) {
    clock.now += 1000;
    subject.failed(fault);
    expect(subject.unanswered).toEqual({ fault, at: 1_000_000 + clock.now });
    expect(subject.lastFailure).toEqual(subject.unanswered);
    subject.probed(200);
    expect(subject.unanswered?.fault).toBe(fault === slow ? slow : undefined);
    subject.failed(missing);
    expect(subject.unanswered).toBeUndefined();
  }
});
