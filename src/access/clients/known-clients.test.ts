import { expect, test } from "bun:test";
import { parseImageReference } from "../../oci/image-reference.ts";
import { basic, bearer, clientsOf, HERE } from "../accesstest/clients.ts";
import { FailedAttempts } from "../failed-attempts.ts";
import { ProcessKey } from "../process-key.ts";
import { type FailedLogin, KnownClients } from "./known-clients.ts";

const TOKEN = "0123456789abcdef0123";
const HASH = await Bun.password.hash("secret", { algorithm: "bcrypt", cost: 4 });
const OTHER = await Bun.password.hash("other", { algorithm: "bcrypt", cost: 4 });
const FILES = {
  "/etc/users": `alice:${HASH}\nbob:${OTHER}\n`,
  "/etc/tokens": `ci ${TOKEN}\n`,
};
const SETTINGS = clientsOf(
  `  htpasswdFile: users
  tokensFile: tokens
  rules:
    - { principals: ["user:*"], repositories: ["ghcr.io/org/**"], effect: allow }
    - { principals: ["user:bob"], repositories: ["ghcr.io/org/secret"], effect: deny }`,
  FILES,
);

function open(options: Partial<ConstructorParameters<typeof KnownClients>[0]> = {}) {
  const failures: FailedLogin[] = [];
  const delays: number[] = [];
  const clients = new KnownClients({
    key: new ProcessKey(),
    settings: SETTINGS,
    onFailed: (failure) => failures.push(failure),
    attempts: new FailedAttempts((milliseconds) => {
      delays.push(milliseconds);
      return Promise.resolve();
    }),
    ...options,
  });
  return { clients, failures, delays };
}

function nameOf(identity: Awaited<ReturnType<KnownClients["identify"]>>): string {
  if (identity.kind === "principal") return identity.principal.name;
  return identity.kind === "refused" ? `refused: ${identity.reason}` : identity.kind;
}

const WRONG = "refused: the user or the password is wrong";

test.each([
  ["nothing", undefined, "anonymous"],
  ["a password", basic("alice", "secret"), "user:alice"],
  ["a wrong password", basic("alice", "Secret"), WRONG],
  ["the password of another user", basic("alice", "other"), WRONG],
  ["a password of an unknown user", basic("carol", "secret"), WRONG],
  ["no password", basic("alice", ""), WRONG],
  // bcrypt would look at the first 72 bytes alone.
  ["a password that goes on after 72 bytes", basic("alice", "s".repeat(73)), WRONG],
  ["a token", bearer(TOKEN), "token:ci"],
  ["a token as a password", basic("anybody", TOKEN), "token:ci"],
  ["a token as a user", basic(TOKEN, "x"), WRONG],
  ["a wrong token", bearer(`${TOKEN}4`), "refused: the token is none that is known"],
  // Without issuers, it is a token or a password as any other.
  ["what looks like a JWT", bearer("eyJh.eyJh."), "refused: the token is none that is known"],
])("%s: %j is %s", async (_, presented, expected) => {
  const { clients } = open();
  expect(nameOf(await clients.identify(presented, HERE))).toBe(expected);
  // Also where it is remembered.
  expect(nameOf(await clients.identify(presented, HERE))).toBe(expected);
});

test("the rules say what a principal may pull", () => {
  const { clients } = open();
  const may = (name: string, image: string): boolean => {
    const repo = parseImageReference(image);
    if (!repo) throw new Error(image);
    return clients.mayPull({ name }, repo);
  };
  expect(may("user:alice", "ghcr.io/org/secret")).toBe(true);
  expect(may("user:bob", "ghcr.io/org/secret")).toBe(false);
  expect(may("user:bob", "ghcr.io/org/app")).toBe(true);
  expect(may("token:ci", "ghcr.io/org/app")).toBe(false);
  expect(may("user:alice", "ghcr.io/other")).toBe(false);
});

test("a changed configuration forgets who was known, and what was allowed", async () => {
  const { clients } = open();
  const repo = parseImageReference("ghcr.io/org/app");
  if (!repo) throw new Error("invalid");
  await clients.identify(basic("alice", "secret"), HERE);
  expect(clients.mayPull({ name: "user:alice" }, repo)).toBe(true);
  const before = clients.revision;
  clients.configure(
    clientsOf(`  htpasswdFile: users\n  rules: []`, { "/etc/users": `alice:${OTHER}\n` }),
  );
  expect(clients.revision).toBeGreaterThan(before);
  expect(nameOf(await clients.identify(basic("alice", "secret"), HERE))).toBe(WRONG);
  expect(nameOf(await clients.identify(basic("alice", "other"), HERE))).toBe("user:alice");
  expect(nameOf(await clients.identify(bearer(TOKEN), HERE))).toContain("refused");
  expect(clients.mayPull({ name: "user:alice" }, repo)).toBe(false);
});

test("a password that is being looked at while the configuration changes counts as it is after", async () => {
  const { clients } = open();
  const answers = Array.from({ length: 3 }, () => clients.identify(basic("alice", "secret"), HERE));
  clients.configure(clientsOf(`  htpasswdFile: users`, { "/etc/users": `alice:${OTHER}\n` }));
  expect((await Promise.all(answers)).map(nameOf)).toEqual([WRONG, WRONG, WRONG]);
});

test("a proof holds for five minutes, and is looked at again then", async () => {
  let now = 1_000_000;
  const { clients } = open({ now: () => now });
  const first = await clients.identify(basic("alice", "secret"), HERE);
  expect(first).toEqual({
    kind: "principal",
    principal: { name: "user:alice" },
    until: 1_300_000,
  });
  now += 299_999;
  expect(await clients.identify(basic("alice", "secret"), HERE)).toEqual(first);
  now += 1;
  expect(await clients.identify(basic("alice", "secret"), HERE)).toMatchObject({
    until: 1_600_000,
  });
});

test("failed logins are told without secrets, counted, and answered later each time", async () => {
  const { clients, failures, delays } = open();
  await clients.identify(basic("alice", "password-of-mine"), HERE);
  await clients.identify(bearer("token-of-mine-0123"), HERE);
  await clients.identify(basic("alice", "secret"), HERE);
  expect(failures).toEqual([
    { kind: "password", address: "10.0.0.1", reason: "the user or the password is wrong" },
    { kind: "token", address: "10.0.0.1", reason: "the token is none that is known" },
  ]);
  expect([...clients.failures]).toEqual([
    ["password", 1],
    ["token", 1],
  ]);
  expect(delays).toEqual([100, 200]);
});

test("an address whose wrong attempts wait is slowed, but for what is known, and others are not", async () => {
  const ended = Promise.withResolvers<void>();
  const { clients } = open({ attempts: new FailedAttempts(() => ended.promise) });
  await clients.identify(basic("alice", "secret"), HERE);
  const wrong = Array.from({ length: 8 }, (_, index) =>
    clients.identify(bearer(`wrong-token-0123-${index}`), HERE),
  );
  // All of them have been looked at, and wait.
  await Bun.sleep(0);
  expect(await clients.identify(basic("bob", "other"), HERE)).toEqual({
    kind: "slowed",
    retryAfter: 5,
  });
  expect(nameOf(await clients.identify(basic("alice", "secret"), HERE))).toBe("user:alice");
  expect(nameOf(await clients.identify(basic("bob", "other"), { address: "10.0.0.2" }))).toBe(
    "user:bob",
  );
  ended.resolve();
  expect((await Promise.all(wrong)).every(({ kind }) => kind === "refused")).toBe(true);
});

test("a flood of wrong passwords is bounded, and leaves the event loop free", async () => {
  const hash = await Bun.password.hash("secret", { algorithm: "bcrypt", cost: 8 });
  const settings = clientsOf("  htpasswdFile: users", { "/etc/users": `alice:${hash}\n` });
  const { clients } = open({ settings });
  // How often this thread comes to something else meanwhile.
  let turns = 0;
  let isRunning = true;
  const turn = (): void => {
    turns += 1;
    if (isRunning) setImmediate(turn);
  };
  setImmediate(turn);
  const answers = await Promise.all(
    Array.from({ length: 400 }, (_, index) =>
      clients.identify(basic("alice", `wrong-${index}`), { address: `10.1.${index % 200}.1` }),
    ),
  );
  isRunning = false;
  const kinds = Map.groupBy(answers, ({ kind }) => kind);
  // Two are looked at, and 32 wait: the others are told to come back.
  expect(kinds.get("refused")?.length).toBe(34);
  expect(kinds.get("slowed")?.length).toBe(366);
  // In this thread, there would be one turn after each of the 34.
  expect(turns).toBeGreaterThan(200);
  expect(nameOf(await clients.identify(basic("alice", "secret"), HERE))).toBe("user:alice");
});

test("one network has few passwords looked at at once", async () => {
  const { clients } = open();
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, index) => clients.identify(basic("alice", `${index}`), HERE)),
  );
  expect(answers.filter(({ kind }) => kind === "refused")).toHaveLength(8);
  expect(answers.filter(({ kind }) => kind === "slowed")).toHaveLength(12);
});

test("a right password that many send at once is looked at once", async () => {
  const { clients } = open();
  const answers = await Promise.all(
    Array.from({ length: 500 }, () => clients.identify(basic("alice", "secret"), HERE)),
  );
  expect(new Set(answers.map(nameOf))).toEqual(new Set(["user:alice"]));
});

test("an unknown user takes as long as a wrong password", async () => {
  const hash = await Bun.password.hash("secret", { algorithm: "bcrypt", cost: 9 });
  const settings = clientsOf("  htpasswdFile: users", { "/etc/users": `alice:${hash}\n` });
  const { clients } = open({ settings });
  const time = async (username: string): Promise<number> => {
    const times: number[] = [];
    for (let count = 0; count < 5; count += 1) {
      const started = performance.now();
      // oxlint-disable-next-line no-await-in-loop -- one after the other is what is measured
      await clients.identify(basic(username, `wrong-${username}-${count}`), HERE);
      times.push(performance.now() - started);
    }
    return Math.min(...times);
  };
  const [known, unknown] = [await time("alice"), await time("mallory")];
  expect(unknown).toBeGreaterThan(known / 3);
});

test.each([
  [["URI:spiffe://prod/ns/a", "DNS:node-7"], "certificate:spiffe://prod/ns/a"],
  [["email:a@example.com", "DNS:node-7", "DNS:node-8"], "certificate:node-7"],
  [["email:a@example.com"], "certificate:a@example.com"],
  [
    ["IP Address:10.0.0.1"],
    "refused: the certificate has no subject alternative name that is a URI, a DNS name or a mail address",
  ],
  [
    ["DNS:a\nb"],
    "refused: the certificate has no subject alternative name that is a URI, a DNS name or a mail address",
  ],
])("a certificate of %j is %s", async (certificate, expected) => {
  const settings = {
    ...SETTINGS,
    certificates: { ca: "-", listen: { host: "127.0.0.1", port: 0 } },
  };
  const { clients } = open({ settings });
  expect(nameOf(await clients.identify(undefined, { ...HERE, certificate }))).toBe(expected);
  // What is presented besides has to be right.
  const both = clients.identify(basic("alice", "wrong"), { ...HERE, certificate });
  expect(nameOf(await both)).toBe(WRONG);
});
