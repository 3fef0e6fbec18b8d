import { expect, test } from "bun:test";
import { digestOf } from "./digest.ts";
import { parseImagePattern } from "./image-pattern.ts";

const digest = digestOf(new TextEncoder().encode("1"));

function image(name: string): {
  upstream: string;
  repository: string;
  tag: string;
  digest: typeof digest;
} {
  const [upstream = "", ...rest] = name.split("/");
  const [repository = "", tag = ""] = rest.join("/").split(":");
  return { upstream, repository, tag, digest };
}

const cases: [pattern: string, full: string, matches: string[], others: string[]][] = [
  [
    "docker.io/library/*:*",
    "docker.io/library/*:*",
    ["docker.io/library/nginx:1", "docker.io/library/redis:latest"],
    ["docker.io/bitnami/nginx:1", "ghcr.io/library/nginx:1"],
  ],
  [
    "registry.k8s.io/pause:3.10",
    "registry.k8s.io/pause:3.10",
    ["registry.k8s.io/pause:3.10"],
    ["registry.k8s.io/pause:3.1", "registry.k8s.io/pause:3x10", "registry.k8s.io/pause:3.10.1"],
  ],
  ["nginx", "docker.io/library/nginx:*", ["docker.io/library/nginx:1"], ["docker.io/x/nginx:1"]],
  ["grafana/loki:3.*", "docker.io/grafana/loki:3.*", ["docker.io/grafana/loki:3.1"], []],
  ["*", "*:*", ["docker.io/a:1", "ghcr.io/b/c:2"], []],
  ["ghcr.io/*", "ghcr.io/*:*", ["ghcr.io/a/b/c:2"], ["quay.io/a:1"]],
  ["reg.test:5000/app", "reg.test:5000/app:*", [], []],
  [`ghcr.io/app@${digest}`, `ghcr.io/app@${digest}`, ["ghcr.io/app:x"], ["ghcr.io/apps:x"]],
];

test.each(cases)(
  "the pattern %p expands to %p and matches only its images",
  (text, full, matches, others) => {
    const pattern = parseImagePattern(text);
    expect(pattern?.text).toBe(full);
    for (const name of matches)
      expect(`${name} ${pattern?.matches(image(name))}`).toBe(`${name} true`);
    for (const name of others)
      expect(`${name} ${pattern?.matches(image(name))}`).toBe(`${name} false`);
  },
);

test.each([
  "",
  " ",
  "a//b",
  "docker.io/a:",
  "docker.io/a@sha256:1",
  "a b",
  "../x",
  "x/",
  "a".repeat(700),
])("%j is not a valid image pattern", (text) => expect(parseImagePattern(text)).toBeUndefined());
