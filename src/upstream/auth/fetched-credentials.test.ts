import { describe, expect, test } from "bun:test";
import { GoogleStandIn } from "../../../test/harness/clouds/google.ts";
import { until } from "../../../test/harness/waiting.ts";
import type { GoogleCredentials } from "../../config/cloud/cloud-credentials.ts";
import type { Credentials } from "../../config/settings.ts";
import { settings } from "../upstreamtest/test-servers.ts";
import { CredentialsRefused, Keyring } from "./keyring.ts";

const MINUTE = 60_000;

function setUp() {
  const google = new GoogleStandIn();
  const source: GoogleCredentials = {
    cloud: "google",
    identity: { kind: "metadata", url: new URL(google.url) },
    connection: {},
    from: "entrepot.yaml:3:5",
  };
  const clock = { now: 0 };
  const told: string[] = [];
  const keyring = new Keyring({
    now: () => clock.now,
    helperTimeout: 500,
    observe: (event) => void (event.type === "credentials" && told.push(event.problem)),
  });
  const upstream = settings("https://europe-docker.pkg.dev", { credentials: source });
  return {
    google,
    clock,
    told,
    keyring,
    upstream,
    current: () => keyring.forPublic(upstream),
    password: async () => (await keyring.forPublic(upstream))?.password,
    async refused(used: Credentials) {
      return keyring.refused(upstream, used, new CredentialsRefused(401, "europe-docker.pkg.dev"));
    },
    issued: () => google.asked.length,
    [Symbol.asyncDispose]: () => google[Symbol.asyncDispose](),
  };
}

describe("a token that a cloud issues", () => {
  test("is asked for once by all who wait, and used until it is replaced ahead of its end", async () => {
    await using at = setUp();
    const [first, again] = await Promise.all([at.password(), at.password()]);
    expect(again).toBe(first ?? "");
    at.clock.now = 40 * MINUTE;
    expect(await at.password()).toBe(first);
    expect(at.issued()).toBe(1);
    at.clock.now = 46 * MINUTE;
    // It serves while another one is fetched.
    expect(await at.password()).toBe(first);
    await until(async () => (await at.password()) !== first, { what: "another token" });
    expect(at.issued()).toBe(2);
  });

  test("serves to its end while none is issued, and that is told once", async () => {
    await using at = setUp();
    const first = await at.password();
    at.google.fails(
      () => new Response("", { status: 404, headers: { "metadata-flavor": "Google" } }),
    );
    at.clock.now = 46 * MINUTE;
    expect(await at.password()).toBe(first);
    await until(() => at.keyring.status(at.upstream).state === "failed", { what: "the failure" });
    expect(await at.password()).toBe(first);
    expect(at.told).toEqual([
      `auth.google (entrepot.yaml:3:5), by the metadata server, ${at.google.host} gives no token (404): this machine has no service account: ${at.upstream.name} is sent those from before, for as long as they are valid`,
    ]);
    expect(at.keyring.use(at.upstream)).toBe("used");
    at.clock.now = 60 * MINUTE;
    expect(await at.password()).toBeUndefined();
    expect(at.keyring.use(at.upstream)).toBe("failed");
    expect(at.keyring.status(at.upstream).problem).toEndWith("are pulled without credentials");
    at.google.fails();
    expect(await at.password()).toBeUndefined();
    at.clock.now += 10_000;
    expect(await at.password()).toStartWith("ya29.");
    expect(at.keyring.status(at.upstream).state).toBe("unused");
    expect(at.told).toHaveLength(1);
  });

  test("is replaced at once when the registry refuses it", async () => {
    await using at = setUp();
    const first = await at.current();
    if (!first) throw new Error("no token");
    const others = await Promise.all([at.refused(first), at.refused(first), at.refused(first)]);
    expect(new Set(others.map((one) => one?.password)).size).toBe(1);
    expect(others[0]?.password).not.toBe(first.password);
    expect(at.issued()).toBe(2);
    // A request that was sent before has been refused later.
    expect((await at.refused(first))?.password).toBe(others[0]?.password);
    expect(at.issued()).toBe(2);
    expect(at.told).toEqual([]);
  });

  test("is not asked for again and again where the registry refuses all", async () => {
    await using at = setUp();
    const sentAt: number[] = [];
    for (; at.clock.now < 300_000; at.clock.now += 1000) {
      let token = await at.current();
      if (token) sentAt.push(at.clock.now / 1000);
      while (token) token = await at.refused(token);
    }
    expect(sentAt).toEqual([0, 10, 30, 70, 150]);
    expect(at.issued()).toBe(6);
    expect(at.told).toEqual([expect.stringContaining("see that the identity may pull from it")]);
    expect(at.keyring.status(at.upstream).state).toBe("refused");
  });

  test("belongs to the same account as the one before", async () => {
    await using at = setUp();
    await at.current();
    const account = at.keyring.account(at.upstream.name);
    at.clock.now = 90 * MINUTE;
    await at.current();
    expect(at.issued()).toBe(2);
    expect(at.keyring.account(at.upstream.name)).toBe(account);
  });
});
