import { expect, test } from "bun:test";
import { canServe } from "./registry-hosts.ts";

test.each([
  ["https://registry-1.docker.io", "docker.io", true],
  ["https://registry-1.docker.io", "ghcr.io", false],
  ["https://mirror.gcr.io/v2", "docker.io", true],
  ["mirror.gcr.io", "quay.io", false],
  ["https://registry-1.docker.io", "_default", false],
  ["https://own.test:5000", "ghcr.io", false],
  ["https://own.test:5000", "own.test:5000", true],
  // What serves any registry cannot be told from its name.
  ["http://10.0.0.1:5000", "ghcr.io", true],
  ["http://10.0.0.1:5000", "_default", true],
])("%s serves %s: %p", (url, registry, expected) => {
  expect(canServe(url, registry, ["own.test:5000"])).toBe(expected);
});
