import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { z } from "zod";
import manifest from "../package.json" with { type: "json" };
import { fileSchema } from "../src/config/schema.ts";
import { TARGETS } from "../src/render/targets.ts";

function read(name: string): string {
  return readFileSync(path.join(path.dirname(import.meta.dir), name), "utf8");
}

/** All keys of a schema, those of inner mappings behind their own: `storage.dir`. */
function keysOf(schema: unknown): string[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) {
    return keysOf(schema.unwrap());
  }
  if (schema instanceof z.ZodRecord) return keysOf(schema.valueType);
  if (!(schema instanceof z.ZodObject)) return [];
  return Object.entries(schema.shape).flatMap(([key, inner]) => {
    const below = keysOf(inner);
    if (key === "upstreams") return [key].concat(below);
    return below.length > 0 ? below.map((name) => `${key}.${name}`) : [key];
  });
}

test("the README's tables have exactly the keys that a file may hold", () => {
  const [, configuration = ""] = read("README.md").split("\n## Configuration\n");
  const rows = configuration.split("\n## ", 1)[0]?.matchAll(/^\| (`[^|]+?`) +\|/gm) ?? [];
  const documented = [...rows]
    .flatMap((row) => [...(row[1] ?? "").matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? ""))
    .filter((key) => !key.startsWith("--"));
  expect(documented.sort()).toEqual(keysOf(fileSchema).sort());
});

test("the configuration that the README shows is one", () => {
  const [, yaml = ""] = /```yaml\n([\s\S]*?)```/.exec(read("README.md")) ?? [];
  const parsed = fileSchema.safeParse(Bun.YAML.parse(yaml));
  expect(parsed.error?.issues ?? []).toEqual([]);
  expect(parsed.success).toBe(true);
});

test("ARCHITECTURE.md has every library, and its version", () => {
  const rows = read("ARCHITECTURE.md").matchAll(/^\| (\S+) +\| (\d\S*) +\|/gm);
  const listed = Object.fromEntries([...rows].map((row) => [row[1] ?? "", row[2] ?? ""]));
  expect(listed).toEqual(manifest.dependencies);
});

const documents = [
  "README.md",
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "CHANGELOG.md",
  ...readdirSync(path.join(path.dirname(import.meta.dir), "docs"), {
    recursive: true,
    encoding: "utf8",
  })
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

test.each(documents)("every file that %s links to is there", (name) => {
  const targets = [...read(name).matchAll(/\]\((?!https?:)([^)#]+)/g)].map(
    (match) => match[1] ?? "",
  );
  const folder = path.join(path.dirname(import.meta.dir), path.dirname(name));
  for (const target of targets) {
    expect(`${target} ${existsSync(path.join(folder, target))}`).toBe(`${target} true`);
  }
});

test("docs/how-to/configure-other-runtimes.md has every target that can be rendered", () => {
  const rows = [...read("docs/how-to/configure-other-runtimes.md").matchAll(/^\| (`[^|]+?) +\|/gm)];
  const documented = rows.flatMap((row) =>
    [...(row[1] ?? "").matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? ""),
  );
  expect(documented.sort()).toEqual(TARGETS.map(({ name }) => name).sort());
});
