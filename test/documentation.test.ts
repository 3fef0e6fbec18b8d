import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import manifest from "../package.json" with { type: "json" };
import { fileSchema } from "../src/config/schema.ts";
import { TARGETS } from "../src/render/targets.ts";

function read(name: string): string {
  return readFileSync(path.join(path.dirname(import.meta.dir), name), "utf8");
}

test("the README's example configuration is valid", () => {
  const [, yaml = ""] = /```yaml\n([\s\S]*?)```/.exec(read("README.md")) ?? [];
  const parsed = fileSchema.safeParse(Bun.YAML.parse(yaml));
  expect(parsed.error?.issues ?? []).toEqual([]);
  expect(parsed.success).toBe(true);
});

test("the configurations of docs/how-to/say-who-may-pull.md are valid", () => {
  const blocks = read("docs/how-to/say-who-may-pull.md").matchAll(/```yaml\n([\s\S]*?)```/g);
  const configurations = [...blocks].filter(([, yaml = ""]) => /^clients:/m.test(yaml));
  expect(configurations).toHaveLength(5);
  for (const [, yaml = ""] of configurations) {
    expect(fileSchema.safeParse(Bun.YAML.parse(yaml)).error?.issues ?? []).toEqual([]);
  }
});

test("ARCHITECTURE.md lists every dependency with its version", () => {
  const rows = read("ARCHITECTURE.md").matchAll(/^\| (\S+) +\| (\d\S*) +\|/gm);
  const listed = Object.fromEntries([...rows].map((row) => [row[1] ?? "", row[2] ?? ""]));
  expect(listed).toEqual(manifest.dependencies);
});

const mentioned = ["ARCHITECTURE.md", "docs/explanation/decisions.md"].flatMap((document) =>
  [...read(document).matchAll(/`([a-z-]+\/[\w/.-]+\.ts)`/g)].map((match) => [document, match[1]]),
);

test.each(mentioned)("%s names a file that exists: %s", (_, file = "") => {
  const root = path.dirname(import.meta.dir);
  const found = [file, `src/${file}`].some((name) => existsSync(path.join(root, name)));
  expect(found).toBe(true);
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

test.each(documents)("every file that %s links to exists", (name) => {
  const targets = [...read(name).matchAll(/\]\((?!https?:)([^)#]+)/g)].map(
    (match) => match[1] ?? "",
  );
  const folder = path.join(path.dirname(import.meta.dir), path.dirname(name));
  for (const target of targets) {
    expect(`${target} ${existsSync(path.join(folder, target))}`).toBe(`${target} true`);
  }
});

/** What runs text that some other command has written: whoever influences that text runs commands. */
const RUNS_TEXT = /\$\(|`|\beval\b|\|\s*(?:sudo\s+)?(?:\w+\/)*(?:ba|da|z)?sh\b|\b(?:source|\.)\s+</;
/** The program's own text, which depends on nothing. */
const OWN_TEXT = /'source <\(entrepot completion \w+\)'/;

test.each(documents)("no command in %s runs text that was generated", (name) => {
  const blocks = read(name).matchAll(/```(?:sh|bash|console)\n([\s\S]*?)```/g);
  const lines = [...blocks].flatMap((block) => (block[1] ?? "").split("\n"));
  const commands = lines.map((line) => line.replace(/(?:^|\s)#.*/, "").replace(OWN_TEXT, ""));
  expect(commands.filter((command) => RUNS_TEXT.test(command))).toEqual([]);
});

test("docs/how-to/configure-other-runtimes.md lists every target of `entrepot render`", () => {
  const rows = [...read("docs/how-to/configure-other-runtimes.md").matchAll(/^\| (`[^|]+?) +\|/gm)];
  const documented = rows.flatMap((row) =>
    [...(row[1] ?? "").matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? ""),
  );
  expect(documented.sort()).toEqual(TARGETS.map(({ name }) => name).sort());
});
