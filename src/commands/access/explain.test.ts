import { expect, test } from "bun:test";
import { explain, type Verdict } from "../../access/rules/explain.ts";
import { readAccessConfig } from "../../config/access-config.ts";
import { parseImageReference } from "../../oci/image-reference.ts";
import { reasonText } from "./explain.ts";

// None of the files that it names is here.
const CONFIG = `plainCredentials: true
tls: { certificate: /etc/entrepot/tls.crt, key: /etc/entrepot/tls.key }
clients:
  htpasswdFile: /etc/entrepot/htpasswd
  jwt:
    - { name: kubernetes, issuer: "https://kubernetes.default.svc", audience: entrepot, jwksFile: jwks.json }
  rules:
    - { principals: ["user:alice", "kubernetes:team-a/*"], repositories: ["ghcr.io/org/**"], effect: allow }
    - { principals: ["**"], repositories: ["ghcr.io/org/secret/**"], effect: deny }
upstreams:
  docker.io: { auth: { username: me, passwordFile: /etc/entrepot/password } }
  quay.io: { access: upstream, deny: [bad/**] }
  ghcr.io:
    access:
      - { repositories: [org/closed], access: denied }
      - { repositories: [org/**], access: clients }
`;

test.each<[string, string, Verdict, string]>([
  [
    "user:alice",
    "ghcr.io/org/app:v1",
    "allow",
    "access: clients (e.yaml:16:9): rule 1 (e.yaml:8:7) allows it",
  ],
  [
    "kubernetes:team-a/web",
    "ghcr.io/org/secret/app",
    "refuse",
    "access: clients (e.yaml:16:9): rule 2 (e.yaml:9:7) denies it",
  ],
  ["user:bob", "ghcr.io/org/app", "refuse", "access: clients (e.yaml:16:9): no rule allows it"],
  [
    "usr:alice",
    "ghcr.io/org/app",
    "refuse",
    'access: clients (e.yaml:16:9): no client is called "usr:" here: principals begin with user:, kubernetes:',
  ],
  [
    "anonymous",
    "ghcr.io/org/app",
    "refuse",
    "access: clients (e.yaml:16:9): the client has to show who it is",
  ],
  ["anonymous", "nginx", "allow", "access: open: whoever reaches the cache may pull it"],
  [
    "user:alice",
    "ghcr.io/org/closed",
    "refuse",
    "access: denied (e.yaml:15:9): nobody may pull it",
  ],
  [
    "quay.io:bob",
    "quay.io/a/b",
    "upstream",
    "access: upstream (e.yaml:12:22): quay.io decides, by the credentials that the client sends",
  ],
  [
    "quay.io:bob",
    "quay.io/bad/b",
    "refuse",
    "access: upstream (e.yaml:12:22): deny of quay.io lists it",
  ],
  ["user:alice", "gcr.io/a/b", "refuse", "gcr.io is no registry of this cache"],
])("%s and %s: %s", (principal, image, verdict, reason) => {
  const config = readAccessConfig("e.yaml", "--config", () => CONFIG);
  const parsed = parseImageReference(image);
  if (!parsed) throw new Error(image);
  const explanation = explain(config, principal, parsed);
  expect({ verdict: explanation.verdict, reason: reasonText(explanation) }).toEqual({
    verdict,
    reason,
  });
});

test("what a cache would refuse to start with explains nothing", () => {
  const yaml = "upstreams:\n  priv.test: { access: denied }\n  PRIV.test: { access: open }\n";
  expect(() => readAccessConfig("e.yaml", "--config", () => yaml)).toThrow(
    'e.yaml:3:3: upstreams.PRIV.test: is the same upstream as "priv.test": define it once',
  );
  const none = "upstreams:\n  priv.test: { access: [] }\n";
  expect(() => readAccessConfig("e.yaml", "--config", () => none)).toThrow(
    "is empty: add an entry, or omit it, so that access is open",
  );
});
