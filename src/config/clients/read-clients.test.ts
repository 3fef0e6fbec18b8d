import { expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import type { KeySource } from "../access/clients-settings.ts";
import { configErrorOf, filesOf } from "../configtest/load-text.ts";
import { type LoadedSettings, loadSettings } from "../load.ts";

const BCRYPT = "$2y$05$q7NcDMbJBxVPNsMtOCLBYeXmVgHqqAVR2oFEh1mRXcVPNsMtOCLBy";
const KEY = generateKeyPairSync("ec", { namedCurve: "P-256" });
const PUBLIC = KEY.publicKey.export({ format: "jwk" });
const PRIVATE = KEY.privateKey.export({ format: "jwk" });

const FILES = {
  "/etc/users": `# who\nalice:${BCRYPT}\r\n\nbob@example.com:${BCRYPT}\n`,
  "/etc/old-users": [
    `alice:${BCRYPT}`,
    "bob:$apr1$1234$abcdefghijklmnopqrstuv",
    "carol:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
    "dave:secret",
    `eve:${BCRYPT.replace("$05$", "$17$")}`,
    "frank",
    `grace:${BCRYPT.slice(0, -1)}Y`,
  ].join("\n"),
  "/etc/twice": `alice:${BCRYPT}\nalice:${BCRYPT}\n`,
  "/etc/odd-user": `al ice:${BCRYPT}\n:${BCRYPT}\n`,
  "/etc/none": "# nobody\n",
  "/etc/tokens": "ci 0123456789abcdef0123\nci\tfedcba9876543210fedc\n",
  "/etc/odd-tokens":
    "ci short\nci\nci 0123456789abcdef more\na 0123456789abcdef\nb 0123456789abcdef\n",
  "/etc/keys.json": JSON.stringify({ keys: [{ ...PUBLIC, kid: "1" }] }),
  "/etc/private.json": JSON.stringify({ keys: [PRIVATE] }),
  "/etc/shared.json": JSON.stringify({ keys: [{ kty: "oct", k: "c2VjcmV0" }] }),
  "/etc/text.json": "hello",
  "/etc/list.json": "[]",
};

function load(clients: string, upstreams = "ghcr.io: { access: clients }"): LoadedSettings {
  const yaml = `plainCredentials: true\nclients:\n${clients}\nupstreams:\n  ${upstreams}\n`;
  return loadSettings({
    flags: { config: "/etc/e.yaml" },
    readFile: filesOf({ ...FILES, "/etc/e.yaml": yaml }),
  });
}

const ISSUER = "name: ci, issuer: https://ci.example, audience: cache";
const ALL = '{ principals: ["**"], repositories: ["**"], effect: allow }';

test("the clients of a configuration are those of its files", () => {
  const { clients } = load(`
  htpasswdFile: users
  tokensFile: tokens
  jwt:
    - { ${ISSUER}, jwksFile: keys.json, principal: "{project_path}:{ref}", claims: { ref: [main, "v*"], ref_protected: "true" } }
  rules:
    - { principals: ["user:alice", "ci:org/*:main"], repositories: ["ghcr.io/org/**"], effect: allow }
    - { principals: ["token:*"], repositories: ["ghcr.io/**"], effect: deny }
  auditAs: hash`);
  expect(JSON.parse(JSON.stringify(clients))).toEqual({
    users: [
      { name: "alice", hash: BCRYPT },
      { name: "bob@example.com", hash: BCRYPT },
    ],
    tokens: [
      { name: "ci", token: "0123456789abcdef0123" },
      { name: "ci", token: "fedcba9876543210fedc" },
    ],
    jwt: [
      {
        name: "ci",
        issuer: "https://ci.example",
        audiences: ["cache"],
        source: { kind: "keys", keys: [{ ...PUBLIC, kid: "1" }] },
        allowPrivate: false,
        principal: "{project_path}:{ref}",
        claims: [
          { claim: "ref", values: ["main", "v*"] },
          { claim: "ref_protected", values: ["true"] },
        ],
      },
    ],
    rules: [
      {
        principals: ["user:alice", "ci:org/*:main"],
        repositories: ["ghcr.io/org/**"],
        effect: "allow",
        from: "/etc/e.yaml:9:7",
      },
      {
        principals: ["token:*"],
        repositories: ["ghcr.io/**"],
        effect: "deny",
        from: "/etc/e.yaml:10:7",
      },
    ],
    auditAs: "hash",
  });
});

test.each<[string, KeySource["kind"], string]>([
  ["", "discovery", "https://ci.example/.well-known/openid-configuration"],
  [", jwksUrl: https://keys.example/jwks?v=1", "url", "https://keys.example/jwks?v=1"],
  [", jwksUrl: http://127.0.0.1:8080/jwks", "url", "http://127.0.0.1:8080/jwks"],
])("the keys of an issuer with%s are found by %s", (more, kind, url) => {
  const { clients } = load(`  jwt: [{ ${ISSUER}${more} }]\n  rules: [${ALL}]`);
  const source = clients?.jwt[0]?.source;
  expect(source?.kind).toBe(kind);
  expect(source && "url" in source ? source.url.href : "").toBe(url);
});

test.each([
  [
    "old hashes",
    "  htpasswdFile: old-users",
    `@:3:17: clients.htpasswdFile: /etc/old-users line 2: the password of "bob" is hashed by MD5 (apr1), which can be guessed fast: only bcrypt is accepted: write it again with htpasswd -B FILE bob
@:3:17: clients.htpasswdFile: /etc/old-users line 3: the password of "carol" is hashed by SHA-1, which can be guessed fast: only bcrypt is accepted: write it again with htpasswd -B FILE carol
@:3:17: clients.htpasswdFile: /etc/old-users line 4: the password of "dave" is hashed by something else, or not at all: only bcrypt is accepted: write it again with htpasswd -B FILE dave
@:3:17: clients.htpasswdFile: /etc/old-users line 5: has the cost 17, with which a password takes seconds: use 10 to 12, as in htpasswd -B -C 10
@:3:17: clients.htpasswdFile: /etc/old-users line 6: has no colon between name and password: write it with htpasswd -B`,
  ],
  [
    "a user twice",
    "  htpasswdFile: twice",
    '@:3:17: clients.htpasswdFile: /etc/twice line 2: "alice" is in an earlier line already: remove one of them',
  ],
  [
    "odd users",
    "  htpasswdFile: odd-user",
    `@:3:17: clients.htpasswdFile: /etc/odd-user line 1: the name has a character other than letters, digits and . _ / @ + = ~ % -
@:3:17: clients.htpasswdFile: /etc/odd-user line 2: the name is empty`,
  ],
  [
    "files of nobody",
    "  htpasswdFile: none\n  tokensFile: missing",
    `@:3:17: clients.htpasswdFile: /etc/none has no entry
@:4:15: clients.tokensFile: /etc/missing does not exist`,
  ],
  [
    "odd tokens, which are not shown",
    "  tokensFile: odd-tokens",
    `@:3:15: clients.tokensFile: /etc/odd-tokens line 1: the token is shorter than 16 characters: make one with openssl rand -hex 32
@:3:15: clients.tokensFile: /etc/odd-tokens line 2: write a name, a space and a token
@:3:15: clients.tokensFile: /etc/odd-tokens line 3: write a name, a space and a token
@:3:15: clients.tokensFile: /etc/odd-tokens line 5: the token is that of "a" as well: use another`,
  ],
  [
    "rules without anything to know clients by",
    `  auditAs: hash\n  rules:\n    - { principals: ["user:a"], repositories: ["**"], effect: allow }`,
    `@:2:1: clients: says nothing that a client could show: add htpasswdFile, tokensFile, jwt or certificates`,
  ],
  [
    "nothing to know clients by",
    `  rules: []`,
    "@:2:1: clients: says nothing that a client could show: add htpasswdFile, tokensFile, jwt or certificates",
  ],
  [
    "odd issuers",
    `  jwt:
    - { name: user, issuer: https://a.example, audience: x }
    - { name: "A b", issuer: https://a.example, audience: x }
    - { name: ci, issuer: http://a.example, audience: x }
    - { name: ci, issuer: a, audience: x }
    - { name: d, issuer: a, audience: x, jwksUrl: https://a, jwksFile: keys.json }
    - { name: e, issuer: a, audience: x, jwksFile: keys.json, tokenFile: x }`,
    `@:4:15: clients.jwt[0].name: "user" is what other principals are called after: use another name
@:5:15: clients.jwt[1].name: "A b" is no name for an issuer: write up to 32 lower-case letters, digits and dashes
@:6:27: clients.jwt[2].issuer: "http://a.example" is not encrypted, and whoever changes the keys on their way can make tokens: write https://, or set jwksUrl or jwksFile
@:7:15: clients.jwt[3].name: is the name of an issuer before: its clients would be taken for those of the other
@:7:27: clients.jwt[3].issuer: "a" is no URL: write https://host/path, or set jwksUrl or jwksFile
@:8:62: clients.jwt[4].jwksFile: excludes jwksUrl: omit one of them
@:9:63: clients.jwt[5].tokenFile: is of no use with jwksFile: nothing is fetched`,
  ],
  [
    "odd keys",
    `  jwt:
    - { name: a, issuer: a, audience: x, jwksFile: text.json }
    - { name: b, issuer: a, audience: x, jwksFile: list.json }
    - { name: c, issuer: a, audience: x, jwksFile: shared.json }
    - { name: d, issuer: a, audience: x, jwksFile: private.json }`,
    `@:4:52: clients.jwt[0].jwksFile: /etc/text.json is not JSON: write a JSON Web Key Set, {"keys":[…]}
@:5:52: clients.jwt[1].jwksFile: /etc/list.json is no JSON Web Key Set: write {"keys":[…]}
@:6:52: clients.jwt[2].jwksFile: /etc/shared.json has no public key (RSA, EC or OKP)
@:7:52: clients.jwt[3].jwksFile: /etc/private.json contains a private key: write the public one, without d, and replace the key`,
  ],
  [
    "a template without a claim",
    `  jwt: [{ ${ISSUER}, principal: all }]`,
    '@:3:77: clients.jwt[0].principal: "all" has no claim in it, so that all clients would have one name: write one, such as {sub}',
  ],
  [
    "certificates without TLS",
    "  certificates: { ca: missing.pem, listen: '127.0.0.1:5443' }",
    `@:3:3: clients.certificates: needs TLS, in which clients show their certificates: set tls
@:3:23: clients.certificates.ca: /etc/missing.pem does not exist`,
  ],
  [
    "odd rules",
    `  htpasswdFile: users
  rules:
    - { principals: [], repositories: ["(a|b)"], effect: permit }`,
    `@:5:21: clients.rules[0].principals: is empty, so that it matches nothing: add a pattern
@:5:40: clients.rules[0].repositories[0]: "(a|b)" has "(", which no name contains: the wildcards are * ? ** [a-z] and {a,b}
@:5:58: clients.rules[0].effect: must be one of "allow", "deny"`,
  ],
])("a configuration with %s is rejected", (_, clients, message) => {
  const text = configErrorOf(() => load(clients));
  expect(text).toBe(message.replaceAll(/^@/gm, "/etc/e.yaml"));
});

test.each([
  [
    `{ principals: ["usr:alice", "alice", "*"], repositories: ["gcr.io/**", "ghcr.io", "ghcr.io/a:v1", "*/x"], effect: allow }`,
    `@:5:22: clients.rules[0].principals[0]: "usr:alice" matches nobody, since no client is called "usr:" here: principals begin with user:
@:5:35: clients.rules[0].principals[1]: "alice" does not say where the client is known from: write one of user: before it
@:5:65: clients.rules[0].repositories[0]: "gcr.io/**" matches nothing, since "gcr.io" is no registry of this cache: use one of ghcr.io
@:5:78: clients.rules[0].repositories[1]: "ghcr.io" names no repository: write it with its registry, such as ghcr.io/**
@:5:89: clients.rules[0].repositories[2]: "ghcr.io/a:v1" names a tag or a digest: rules apply to whole repositories, since any image is also available by its digest`,
  ],
  [
    `{ principals: ["user:alice"], repositories: ["ghcr.io/a"], effect: allow }
    - { principals: ["user:alice"], repositories: ["ghcr.io/a"], effect: deny }`,
    "@:5:7: clients.rules[0]: can never allow anything: rule 2 (@:6:7) denies all of it, and what a rule denies is denied: remove one of them",
  ],
  [
    `{ principals: ["user:*"], repositories: ["ghcr.io/**"], effect: deny }
    - { principals: ["user:alice", "user:bob"], repositories: ["ghcr.io/a/*", "ghcr.io/b"], effect: allow }`,
    "@:6:7: clients.rules[1]: can never allow anything: rule 1 (@:5:7) denies all of it, and what a rule denies is denied: remove one of them",
  ],
  [
    `{ principals: ["user:alice"], repositories: ["ghcr.io/a/b"], effect: deny }
    - { principals: ["user:*"], repositories: ["ghcr.io/a/*"], effect: allow }`,
    "(accepted)",
  ],
])("the rules %s: %s", (rules, message) => {
  const text = configErrorOf(() => load(`  htpasswdFile: users\n  rules:\n    - ${rules}`));
  expect(text).toBe(message.replaceAll("@:", "/etc/e.yaml:"));
});

test("access: clients without clients is refused, since nobody could pull", () => {
  const yaml = "plainCredentials: true\nupstreams: { ghcr.io: { access: clients } }\n";
  const run = () =>
    loadSettings({
      flags: { config: "/etc/e.yaml" },
      readFile: filesOf({ "/etc/e.yaml": yaml }),
    });
  expect(configErrorOf(run)).toBe(
    "/etc/e.yaml:2:25: upstreams.ghcr.io.access: is for clients that this cache knows, and it knows none: add clients, with its rules",
  );
});
