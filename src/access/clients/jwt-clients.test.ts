import { expect, test } from "bun:test";
import { exportSPKI, generateKeyPair } from "jose";
import { basic, HERE } from "../accesstest/clients.ts";
import { Issuer } from "../accesstest/issuer.ts";
import { openForIssuer } from "../accesstest/open-for-issuer.ts";

const SECONDS = () => Math.floor(Date.now() / 1000);

test("a token names its client, as a Bearer token and as a password, as long as it is valid", async () => {
  await using issuer = await Issuer.open();
  const { clients, identify } = openForIssuer(issuer);
  const exp = SECONDS() + 100;
  const token = await issuer.token({ exp, sub: "repo:org/app:ref:refs/heads/main" });
  const name = "ci:repo:org/app:ref:refs/heads/main";
  expect(await identify(token)).toBe(name);
  expect(await clients.identify(basic("anybody", token), HERE)).toEqual({
    kind: "principal",
    principal: { name },
    // With what clocks may differ.
    until: (exp + 60) * 1000,
  });
  expect(issuer.requests.map(({ path }) => path)).toEqual([
    "/.well-known/openid-configuration",
    "/jwks",
  ]);
});

test.each<[string, (issuer: Issuer) => Promise<string>, string]>([
  [
    "expired, by more than clocks may differ",
    (issuer) => issuer.token({ exp: SECONDS() - 70 }),
    "ci: it has expired",
  ],
  ["expired, by as much", (issuer) => issuer.token({ exp: SECONDS() - 50 }), "ci:me"],
  [
    "not valid yet",
    (issuer) => issuer.token({ nbf: SECONDS() + 70 }),
    "ci: it is not valid yet: compare the clocks",
  ],
  ["valid in a moment", (issuer) => issuer.token({ nbf: SECONDS() + 50 }), "ci:me"],
  ["valid for ever", (issuer) => issuer.token({ exp: undefined }), 'ci: it has no claim "exp"'],
  [
    "for somebody else",
    (issuer) => issuer.token({ aud: "registry" }),
    'ci: its claim "aud" is another one',
  ],
  ["for nobody", (issuer) => issuer.token({ aud: undefined }), 'ci: it has no claim "aud"'],
  ["for several", (issuer) => issuer.token({ aud: ["x", "cache"] }), "ci:me"],
  [
    "of another issuer",
    (issuer) => issuer.token({ iss: "https://evil.example" }),
    'its issuer "https://evil.example" is none that is configured',
  ],
  [
    "of no issuer",
    (issuer) => issuer.token({ iss: undefined }),
    'its issuer "" is none that is configured',
  ],
  [
    "signed with another key",
    async (issuer) => {
      const { privateKey } = await generateKeyPair("ES256");
      return issuer.token({}, { key: privateKey });
    },
    "ci: its signature is wrong",
  ],
  [
    "of a key that is not known",
    async (issuer) => {
      const { privateKey } = await generateKeyPair("ES256");
      return issuer.token({}, { kid: "other", key: privateKey });
    },
    "ci: no key of the issuer is that of its kid",
  ],
  [
    "not signed (alg none)",
    async (issuer) => {
      const [, payload] = (await issuer.token()).split(".");
      const header = Buffer.from('{"alg":"none","kid":"first"}').toString("base64url");
      return `${header}.${payload}.`;
    },
    "ci: its algorithm (alg) is none with a public key",
  ],
  [
    "signed with the public key as a secret (HS256)",
    async (issuer) => {
      const { publicKey } = await generateKeyPair("ES256", { extractable: true });
      const key = new TextEncoder().encode(await exportSPKI(publicKey));
      return issuer.token({}, { algorithm: "HS256", key });
    },
    "ci: its algorithm (alg) is none with a public key",
  ],
  [
    "changed",
    async (issuer) => {
      const [header, , signature] = (await issuer.token()).split(".");
      const [, payload] = (await issuer.token({ sub: "admin" })).split(".");
      return `${header}.${payload}.${signature}`;
    },
    "ci: its signature is wrong",
  ],
  [
    "with a name that is not visible",
    (issuer) => issuer.token({ sub: "me\nlevel=info" }),
    "ci: its principal has characters that are not visible",
  ],
  [
    "without a name",
    (issuer) => issuer.token({ sub: undefined }),
    'ci: it has no claim "sub" that is a text',
  ],
  [
    "no token",
    () => Promise.resolve("eyJhbGciOiJub25lIn0.eyJhbGciOi.x"),
    "it is not a JSON Web Token",
  ],
])("a token that is %s", async (_, make, expected) => {
  await using issuer = await Issuer.open();
  const { identify } = openForIssuer(issuer);
  expect(await identify(await make(issuer))).toBe(expected);
});

test("the claims that are wanted must all hold, and the principal is made of claims", async () => {
  await using issuer = await Issuer.open();
  const more =
    ', principal: "{kubernetes.io.namespace}/{kubernetes.io.serviceaccount.name}", claims: { repository_owner: [org, "org-*"], groups: ops }';
  const { identify } = openForIssuer(issuer, more);
  const pod = {
    "kubernetes.io": { namespace: "team-a", serviceaccount: { name: "web" } },
    repository_owner: "org-2",
    groups: ["dev", "ops"],
  };
  expect(await identify(await issuer.token(pod))).toBe("ci:team-a/web");
  expect(await identify(await issuer.token({ ...pod, repository_owner: "organisation" }))).toBe(
    'ci: its claim "repository_owner" is none of those that are wanted',
  );
  expect(await identify(await issuer.token({ ...pod, groups: ["dev"] }))).toBe(
    'ci: its claim "groups" is none of those that are wanted',
  );
  expect(await identify(await issuer.token({ ...pod, groups: undefined }))).toBe(
    'ci: its claim "groups" is none of those that are wanted',
  );
  const slash = { namespace: "team-a/web", serviceaccount: { name: "x" } };
  expect(await identify(await issuer.token({ ...pod, "kubernetes.io": slash }))).toBe(
    'ci: it has "/" in the claim "kubernetes.io.namespace"',
  );
});
