import { describe, expect, test } from "bun:test";
import { GlobPattern } from "../../config/parsing/glob-pattern.ts";
import { CredentialsRefused, Keyring } from "./keyring.ts";
import { PublicKeyring } from "./public-keyring.ts";
import { repository, settings } from "../upstreamtest/test-servers.ts";

const app = repository("app");
const refusal = new CredentialsRefused(401, "reg.test");
const current = { username: "me", password: "new" };
const upstream = settings("https://reg.test", { credentials: current });

describe("refused credentials", () => {
  test("are retried with a growing wait and reported once", async () => {
    const clock = { now: 0 };
    const events: string[] = [];
    const observe = ({ type }: { type: string }): void => void events.push(type);
    const subject = new Keyring({ now: () => clock.now, observe });
    const retriedAt: number[] = [];
    for (; clock.now <= 3_000_000; clock.now += 1000) {
      if (!(await subject.current(upstream, app))) continue;
      retriedAt.push(clock.now / 1000);
      // Concurrent requests are refused together.
      for (let i = 0; i < 20; i += 1) {
        expect(await subject.refused(upstream, current, refusal)).toBeUndefined();
      }
    }
    expect(retriedAt).toEqual([0, 10, 30, 70, 150, 310, 630, 1230, 1830, 2430]);
    expect(events).toEqual(["credentials"]);
    expect(subject.status(upstream).state).toBe("refused");
  });

  test("are used again once the registry accepts them", async () => {
    const clock = { now: 0 };
    const subject = new Keyring({ now: () => clock.now });
    await subject.refused(upstream, current, refusal);
    clock.now = 10_000;
    expect(await subject.current(upstream, app)).toBe(current);
    // No request has tried them yet.
    expect(subject.status(upstream).state).toBe("refused");
    subject.accepted(upstream.name, { username: "me", password: "old" });
    expect(subject.status(upstream).state).toBe("refused");
    subject.accepted(upstream.name, current);
    expect(subject.status(upstream).state).toBe("ok");
  });
});

test("where clients send their own, an upstream's credentials are for public content alone", async () => {
  const entries = [{ repositories: [glob("team/**")], mode: "upstream" }] as const;
  const access = { entries, ttl: 1, staleFor: 1, usesAuthForPublic: true };
  const asked = settings("https://reg.test", { credentials: current, access });
  const keyring = new Keyring();
  expect(await keyring.current(asked, repository("team/app"))).toBeUndefined();
  expect(await keyring.current(asked, app)).toBe(current);
  const forPublic = new PublicKeyring(keyring);
  expect(await forPublic.current(asked)).toBe(current);
});

function glob(text: string): GlobPattern {
  const pattern = GlobPattern.compile(text);
  if (typeof pattern === "string") throw new Error(pattern);
  return pattern;
}
