import { expect, test } from "bun:test";
import { directoryName, registryOfDirectory } from "./registry-directory.ts";

test.each([
  ["docker.io", "docker.io"],
  ["registry.test:5000", "registry.test_5000_"],
  ["[::1]:5000", "[::1]_5000_"],
  ["_default", "_default"],
])("the directory of %s is %s", (registry, name) => {
  expect(directoryName(registry)).toBe(name);
  expect(registryOfDirectory(name)).toBe(registry);
});

test("a directory in the plain host:port form stands for the same registry", () => {
  expect(registryOfDirectory("registry.test:5000")).toBe("registry.test:5000");
});
