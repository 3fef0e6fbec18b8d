import { expect, test } from "bun:test";
import { generateKeyPair } from "jose";
import { until } from "../../../test/harness/waiting.ts";
import { bearer, clientsOf, HERE } from "../accesstest/clients.ts";
import { Issuer } from "../accesstest/issuer.ts";
import { openForIssuer } from "../accesstest/open-for-issuer.ts";
import { ProcessKey } from "../process-key.ts";
import { KnownClients } from "./known-clients.ts";

test("a new key is fetched when a token has it, and not more often than every 30 seconds", async () => {
  await using issuer = await Issuer.open();
  let now = Date.now();
  const { identify } = openForIssuer(issuer, `, jwksUrl: ${issuer.url}/jwks`, () => now);
  expect(await identify(await issuer.token())).toBe("ci:me");
  await issuer.addKey("second");
  now += 31_000;
  expect(await identify(await issuer.token({ sub: "b" }, { kid: "second" }))).toBe("ci:b");
  expect(issuer.requests).toHaveLength(2);
  const { privateKey: key } = await generateKeyPair("ES256");
  const unknown = await Promise.all(
    Array.from({ length: 20 }, (_, index) => issuer.token({}, { kid: `kid-${index}`, key })),
  );
  now += 31_000;
  const answers = await Promise.all(unknown.map(identify));
  expect(answers.filter((answer) => answer.includes("no key"))).not.toHaveLength(0);
  // All of them together had them fetched once.
  expect(issuer.requests).toHaveLength(3);
});

test("a key that the issuer takes back ends, and while its keys cannot be fetched, the last ones hold", async () => {
  await using issuer = await Issuer.open();
  let now = Date.now();
  const { identify, problems } = openForIssuer(issuer, `, jwksUrl: ${issuer.url}/jwks`, () => now);
  const token = () => issuer.token({ exp: Math.floor(now / 1000) + 600, sub: `${now}` });
  const { keys } = await issuer.keySet();
  expect(await identify(await token())).toBe(`ci:${now}`);
  issuer.answer = () => new Response(null, { status: 503 });
  now += 601_000;
  expect(await identify(await token())).toBe(`ci:${now}`);
  await until(() => problems.length === 1, { what: "the problem" });
  expect(problems).toEqual([`ci: ${issuer.url}/jwks answered with 503`]);
  issuer.answer = () =>
    Response.json({ keys: keys.map((key) => Object.assign(key, { kid: "new" })) });
  now += 601_000;
  const last = await token();
  await identify(last);
  const gone = "ci: no key of the issuer is that of its kid";
  await until(async () => (await identify(await token())) === gone, { what: "the end of the key" });
});

test("keys that hang hang no pull, and are asked for again after a while", async () => {
  await using issuer = await Issuer.open();
  let now = Date.now();
  const { clients, identify, problems, delays } = openForIssuer(
    issuer,
    `, jwksUrl: ${issuer.url}/jwks`,
    () => now,
  );
  const answer = Promise.withResolvers<Response>();
  issuer.answer = () => answer.promise;
  const started = performance.now();
  const tokens = await Promise.all(["a", "b", "c"].map((sub) => issuer.token({ sub })));
  const first = await Promise.all(tokens.map(identify));
  expect(performance.now() - started).toBeLessThan(12_000);
  expect(first.every((reason) => reason.startsWith("the keys of ci are not known: "))).toBe(true);
  expect(problems).toHaveLength(1);
  const again = performance.now();
  expect(await identify(await issuer.token({ sub: "d" }))).toContain("are not known");
  // Nobody waits for what has just failed.
  expect(performance.now() - again).toBeLessThan(2000);
  expect(issuer.requests).toHaveLength(1);
  // The clients are not to blame.
  expect(delays).toEqual([]);
  expect([...clients.failures]).toEqual([["jwt", 4]]);
  answer.resolve(new Response(null, { status: 500 }));
  issuer.answer = undefined;
  now += 11_000;
  expect(await identify(await issuer.token({ sub: "d" }))).toBe("ci:d");
}, 30_000);

test.each<[string, (issuer: Issuer) => Response, string]>([
  ["no JSON", () => new Response("<html>"), "URL/jwks is not JSON"],
  ["no key set", () => Response.json({ key: [] }), "URL/jwks is no JSON Web Key Set"],
  [
    "secrets",
    () => Response.json({ keys: [{ kty: "oct", k: "c2VjcmV0" }] }),
    "URL/jwks has no public key",
  ],
  [
    "endless text",
    () => new Response(`{"keys":[${" ".repeat(300_000)}]}`),
    "URL/jwks is larger than 256 KiB",
  ],
  [
    "a redirect",
    (issuer) => Response.redirect(`${issuer.url}/elsewhere`, 302),
    "URL/jwks answered with 302",
  ],
  [
    "a refusal",
    () => new Response(null, { status: 403 }),
    "URL/jwks answered with 403: set tokenFile to a file with a token that it accepts",
  ],
])("keys that are %s are refused", async (_, answer, reason) => {
  await using issuer = await Issuer.open();
  issuer.answer = () => answer(issuer);
  const { identify } = openForIssuer(issuer, `, jwksUrl: ${issuer.url}/jwks`);
  expect(await identify(await issuer.token())).toBe(
    `the keys of ci are not known: ${reason.replace("URL", issuer.url)}`,
  );
});

test.each([
  [
    { issuer: "https://evil.example", jwks_uri: "URL/jwks" },
    "URL is of another issuer: set jwksUrl",
  ],
  [{ issuer: "URL" }, "URL has no issuer and jwks_uri: set jwksUrl"],
  [
    { issuer: "URL", jwks_uri: "http://10.0.0.1/jwks" },
    'the jwks_uri of URL "http://10.0.0.1/jwks" is not encrypted, and whoever changes the keys on their way can make tokens: write https://',
  ],
])("the description %j of an issuer is refused", async (description, reason) => {
  await using issuer = await Issuer.open();
  const text = JSON.stringify(description).replaceAll("URL", issuer.url);
  issuer.answer = (path) => (path === "/jwks" ? undefined : new Response(text));
  const { identify } = openForIssuer(issuer);
  const where = `${issuer.url}/.well-known/openid-configuration`;
  expect(await identify(await issuer.token())).toBe(
    `the keys of ci are not known: ${reason.replace("URL", where)}`,
  );
});

test("keys at a private address are fetched only where that is allowed", async () => {
  await using issuer = await Issuer.open();
  const settings = clientsOf(`  jwt: [{ name: ci, issuer: "${issuer.url}", audience: cache }]`);
  const clients = new KnownClients({ key: new ProcessKey(), settings });
  const identity = await clients.identify(bearer(await issuer.token()), HERE);
  expect(identity).toMatchObject({ kind: "refused" });
  expect(JSON.stringify(identity)).toContain("127.0.0.1");
  expect(issuer.requests).toEqual([]);
});
