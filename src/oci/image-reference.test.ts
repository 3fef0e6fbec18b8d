import { expect, test } from "bun:test";
import { imageName, parseImageReference } from "./image-reference.ts";

const SHA = `sha256:${"a".repeat(64)}`;

test.each([
  ["nginx", "docker.io/library/nginx:latest"],
  ["nginx:1.27", "docker.io/library/nginx:1.27"],
  ["docker.io/nginx", "docker.io/library/nginx:latest"],
  ["index.docker.io/nginx", "docker.io/library/nginx:latest"],
  ["DOCKER.IO/library/nginx:1", "docker.io/library/nginx:1"],
  ["bitnami/redis", "docker.io/bitnami/redis:latest"],
  ["localhost/app:v1", "localhost/app:v1"],
  ["registry.test:5000/a/b/c:v1", "registry.test:5000/a/b/c:v1"],
  ["[::1]:5000/app", "[::1]:5000/app:latest"],
  [`ghcr.io/org/app@${SHA}`, `ghcr.io/org/app@${SHA}`],
  [`ghcr.io/org/app:v1@${SHA}`, `ghcr.io/org/app:v1@${SHA}`],
  [" nginx\n", "docker.io/library/nginx:latest"],
])("the image %j is %s", (text, name) => {
  const image = parseImageReference(text);
  expect(image && imageName(image)).toBe(name);
  expect(parseImageReference(name)).toEqual(image);
});

test.each([
  "",
  "/",
  "nginx:",
  ":latest",
  "Nginx",
  "nginx@sha256:abc",
  `nginx@${SHA}@${SHA}`,
  "https://ghcr.io/org/app",
  "ghcr.io/",
  "ghcr.io//app",
  "ghcr.io/org/app:a b",
  "ghcr.io/org/../app",
  "nginx:*",
  "a\nb",
  `nginx:${"a".repeat(129)}`,
  "a/".repeat(400),
])("%j is no image", (text) => {
  expect(parseImageReference(text)).toBeUndefined();
});
