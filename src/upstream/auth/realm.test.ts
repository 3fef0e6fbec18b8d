import { expect, test } from "bun:test";
import { realmProblem } from "./realm.ts";

test.each([
  // Registries that most clusters use.
  ["https://auth.docker.io/token", "https://registry-1.docker.io", [], true],
  ["https://ghcr.io/token", "https://ghcr.io", [], true],
  ["https://quay.io/v2/auth", "https://quay.io", [], true],
  ["https://gitlab.com/jwt/auth", "https://registry.gitlab.com", [], true],
  ["https://nvcr.io/proxy_auth", "https://nvcr.io", [], true],
  ["https://reg.azurecr.io/oauth2/token", "https://reg.azurecr.io", [], true],
  // Other domains.
  ["https://evil.example/token", "https://ghcr.io", [], false],
  ["https://ghcr.io.evil.example/token", "https://ghcr.io", [], false],
  ["https://evilghcr.io/token", "https://ghcr.io", [], false],
  ["https://a.co.uk/token", "https://b.co.uk", [], false],
  ["https://evil.github.io/token", "https://me.github.io", [], false],
  // Names and addresses of a private network.
  ["https://10.0.0.8/token", "https://10.0.0.7", [], false],
  ["https://10.0.0.7:5000/token", "https://10.0.0.7:5000", [], true],
  // Another port of the registry's host is another party.
  ["https://10.0.0.7:8443/token", "https://10.0.0.7:5000", [], false],
  ["https://10.0.0.7:8443/token", "https://10.0.0.7:5000", ["10.0.0.7:8443"], true],
  ["https://registry/token", "https://registry:5000", [], false],
  ["https://ghcr.io:8443/token", "https://ghcr.io", [], false],
  ["https://ghcr.io:443/token", "https://ghcr.io", [], true],
  ["https://auth/token", "https://registry", [], false],
  // Realms listed in trustedRealms.
  ["https://login.example/token", "https://ghcr.io", ["login.example"], true],
  ["https://login.example:8443/token", "https://ghcr.io", ["login.example"], true],
  ["https://login.example:8443/token", "https://ghcr.io", ["login.example:8443"], true],
  ["https://login.example:9/token", "https://ghcr.io", ["login.example:8443"], false],
  // The scheme is never weaker than the registry's own.
  ["http://ghcr.io/token", "https://ghcr.io", [], false],
  ["http://login.example/token", "https://ghcr.io", ["login.example"], false],
  ["http://reg.internal/token", "http://reg.internal", [], true],
  ["https://reg.internal/token", "http://reg.internal", [], true],
  ["ftp://reg.internal/token", "http://reg.internal", [], false],
])(
  "a realm %s of %s, with trustedRealms %j, is allowed: %p",
  (realm, registry, trusted, allowed) => {
    const problem = realmProblem(new URL(realm), new URL(registry), trusted, true);
    expect(problem === undefined).toBe(allowed);
  },
);

test("a realm on another port of the registry's host is used without credentials", () => {
  const registry = new URL("https://reg.test:5000");
  expect(realmProblem(new URL("https://reg.test/token"), registry, [], false)).toBeUndefined();
  expect(realmProblem(new URL("http://reg.test/token"), registry, [], false)).toBeDefined();
  expect(realmProblem(new URL("https://reg.test/token"), registry, [], true)).toBe(
    "gets no credentials, and is not used as a token endpoint: it is on another port than reg.test:5000. If that is intended, list reg.test in the upstream's trustedRealms",
  );
});
