import { expect, test } from "bun:test";
import { parseImageSelector } from "./image-selector.ts";

const SHA = `sha256:${"a".repeat(64)}`;

async function selected(text: string, tags: readonly string[], max = 20) {
  const selector = parseImageSelector(text);
  if (typeof selector === "string") return selector;
  return selector.kind === "image"
    ? selector.text
    : (await selector.select(tags, max)).tags.map(String);
}

test.each([
  ["nginx", "docker.io/library/nginx:latest"],
  [`ghcr.io/org/app@${SHA}`, `ghcr.io/org/app@${SHA}`],
  ["registry.test:5000/app:22.x", "registry.test:5000/app:22.x"],
])("%s is the one image %s", async (text, image) => {
  expect(await selected(text, [])).toBe(image);
});

const NODE = [
  "latest",
  "20.11.1",
  "22",
  "22.1",
  "22.1.0",
  "22.1.0-alpine",
  "22.10.0",
  "24.0.0",
  "24.0.0-rc.1",
  "25.0.0",
];

test.each([
  ["node:>=22 <25", NODE, ["24.0.0", "22.10.0", "22.1.0"]],
  ["docker.io/library/node:^22.0.0 || 20.x", NODE, ["22.10.0", "22.1.0", "20.11.1"]],
  ["node:22.*", NODE, ["22.10.0", "22.1.0"]],
  ["node:~22.1", NODE, ["22.1.0"]],
  ["node:22.*-alpine*", NODE, ["22.1.0-alpine"]],
  ["node:>=24.0.0-rc.0 <24.0.1", NODE, ["24.0.0", "24.0.0-rc.1"]],
  ["registry.k8s.io/pause:3.*", ["3.9", "3.10", "3.2", "latest"], ["3.10", "3.9", "3.2"]],
  ["postgres:>=15", ["14", "15.4", "16", "16.1", "20240101", "16-alpine"], ["16.1", "15.4"]],
  ["redis:>=6", ["6", "7", "v8"], ["v8", "7", "6"]],
  ["quay.io/org/app:release-*", ["release-9", "release-10", "main"], ["release-10", "release-9"]],
  ["registry.test:5000/app:>1.0.0", ["v1.0.1", "v2.0.0", "not-a-version"], ["v2.0.0", "v1.0.1"]],
  ["node:*", [], []],
  ["app:>=1", ["1.0.0-" + "a".repeat(200), "bad tag", ""], []],
])("of its tags, %s selects the highest versions first", async (text, tags, expected) => {
  expect(await selected(text, tags)).toEqual(expected);
});

test("no more than the highest are selected, and how many match is known", async () => {
  const tags = Array.from({ length: 500 }, (_, minor) => `1.${minor}.0`);
  const selector = parseImageSelector("app:>=1");
  if (typeof selector === "string" || selector.kind === "image") throw new Error("not a range");
  const found = await selector.select(tags, 2);
  expect(found.tags.map(String)).toEqual(["1.499.0", "1.498.0"]);
  expect(found.matching).toBe(500);
});

test.each([
  ["", "is not an image: write"],
  ["node:", "neither a tag nor a range"],
  ["node:>=", "neither a tag nor a range"],
  ["node:>=a <b", "neither a tag nor a range"],
  ["node:(*", "neither a tag nor a range"],
  ["node:$(reboot)", "neither a tag nor a range"],
  ["Node:>=22", "is not an image"],
  [`node:>=22@${SHA}`, "has a digest"],
  [`node@${SHA}:>=22`, "is not an image"],
  ["https://ghcr.io/org/app", "is not an image"],
  ["a/".repeat(400), "is longer than 700 characters"],
  ["*", "is not an image"],
  [`node:${">=1 || ".repeat(80)}2`, "has a range of more than 200 characters"],
])("%j says what is wrong: %s", async (text, message) => {
  expect(await selected(text, [])).toContain(message);
});
