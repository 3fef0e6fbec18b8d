import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { parse, parseAllDocuments, stringify } from "yaml";
import { isPrintable } from "../../printable.ts";
import { UnreadableError } from "../parsing/read-text.ts";
import { loadSettings } from "../load.ts";
import { ConfigError } from "../parsing/problems.ts";
import { importFiles } from "../import-files.ts";
import type { ImportedConfig } from "./imported-config.ts";
import { unsupportedLines, writeConfig } from "./write-config.ts";

const RUNS = Number(process.env["ENTREPOT_FUZZ"] ?? 250);
const GOLDEN = path.join(import.meta.dir, "../../../test/golden/import");

/** Valid files of all formats, as seeds. */
const seeds = readdirSync(GOLDEN, { recursive: true, encoding: "utf8" })
  .filter(
    (name) => /\.(?:ya?ml|sh|container|service)$/.test(name) && !name.endsWith("entrepot.yaml"),
  )
  .map((name) => readFileSync(path.join(GOLDEN, name), "utf8"));

/** Fragments of such files, and text that may break parsers. */
const fragments = [
  "",
  " ",
  "\n",
  "\t",
  ":",
  "- ",
  "{",
  "}",
  "[",
  "]",
  "'",
  '"',
  "#",
  "&a ",
  "*a",
  "<<: *a",
  "!!binary ",
  "|\n",
  ">\n",
  "---\n",
  "...\n",
  "null",
  "~",
  "true",
  "0",
  "-1",
  "1e999",
  "0x10",
  "1_000",
  ".nan",
  "2001-01-01",
  "\uFEFF",
  "\0",
  "\u2028",
  "é",
  "_default",
  "docker.io",
  "registry-1.docker.io",
  "https://",
  "http://u:p@h/",
  "https://[::1]:5000",
  "https://h:99999",
  "10Gi",
  "-1h",
  "168h",
  "9e99Ti",
  "apiVersion: v1\n",
  "kind: Secret\n",
  "kind: Shoot\n",
  "__proto__: 1\n",
  "constructor: 1\n",
  "toString",
  "registry:2",
  "docker run ",
  "-p ",
  "-e ",
  "$(id)",
  "`id`",
  "${X}",
  "\\\n",
  "v1alpha1",
  "v1alpha2",
];

/** What would end a comment or a quoted text, run in a shell, or drive a terminal. */
const hostile = [
  "\nadmin: 0.0.0.0:1",
  "\r\nadmin: 0.0.0.0:1",
  "\u0085admin: 1",
  "\u2028admin: 1",
  "\u2029#",
  "\0",
  "\u001b[2J\u001b]0;title\u0007",
  "\u009b2J",
  "\u202egnp.exe\u2069",
  "\u200b\ufeff",
  "\u{e0041}",
  "\ud800",
  "$(touch /tmp/run)",
  "`touch /tmp/run`",
  "'; touch /tmp/run; '",
  '"',
  "\\",
  " # ",
  ": ",
  "{{",
  "\t",
];
type Edit = readonly [position: number, removed: number, inserted: string];
const edits = fc.array(
  fc.tuple(
    fc.nat(2_000),
    fc.nat(12),
    fc.oneof(fc.constantFrom(...fragments, ...hostile), fc.string({ maxLength: 6 })),
  ),
  { maxLength: 6 },
);

function edited(seed: string, changes: readonly Edit[]): string {
  return changes.reduce((text, [position, removed, inserted]) => {
    const from = position % (text.length + 1);
    return text.slice(0, from) + inserted + text.slice(from + removed);
  }, seed);
}

/** Expects a ConfigError whose problems all have valid positions in the file. */
function expectPositions(error: unknown, text: string): void {
  if (!(error instanceof ConfigError)) throw error;
  const lines = text.split(/\r\n|\r|\n/).length;
  expect(error.problems.length).toBeGreaterThan(0);
  for (const { file, line, column, message } of error.problems) {
    expect(message).not.toBe("");
    expect([file, message]).toEqual(["f", message]);
    expect(line).toBeGreaterThan(0);
    expect(line).toBeLessThanOrEqual(lines);
    expect(column).toBeGreaterThan(0);
  }
}

const hostileText = fc
  .array(fc.oneof(fc.constantFrom(...hostile), fc.constantFrom("a", "/srv/x", "https://h")), {
    minLength: 1,
    maxLength: 4,
  })
  .map((parts) => parts.join(""));

const readOnly =
  (text: string) =>
  (file: string): string => {
    if (file === "f") return text;
    throw new UnreadableError("does not exist");
  };

/** Nothing that a terminal or an editor does not show as itself, and no line that was not meant as one. */
function expectPrintable(text: string): void {
  expect(text.split("\n").filter((line) => !isPrintable(line))).toEqual([]);
}

/** What is written is exactly the configuration: nothing of a comment or value has become another key. */
function expectData(imported: ImportedConfig, written: string): void {
  expectPrintable(written);
  expect(parse(written)).toEqual(imported.value);
  expectPrintable(unsupportedLines(imported).join("\n"));
}

function expectImport(text: string): void {
  const readFile = readOnly(text);
  let written: string;
  try {
    const secrets = { folder: undefined, readFile };
    const imported = importFiles({ files: ["f"], readFile, secrets, names: new Map() });
    written = writeConfig(imported, "entrepot import f");
    expectData(imported, written);
  } catch (error) {
    expectPositions(error, text);
    expectPrintable(String(error));
    return;
  }
  try {
    loadSettings({
      flags: { config: "f" },
      readFile: readOnly(written),
      hasProgram: () => true,
    });
  } catch (error) {
    // Certificate and password files that the configuration names do not exist.
    const message = error instanceof ConfigError ? error.message : String(error);
    if (!message.includes("does not exist"))
      throw new Error(`${message}\n${written}`, { cause: error });
  }
}

test("edited files are imported into a valid configuration, or rejected with positions", () => {
  const texts = fc
    .tuple(fc.constantFrom(...seeds), edits)
    .map(([seed, changes]) => edited(seed, changes));
  fc.assert(fc.property(texts, expectImport), { numRuns: RUNS });
});

const values = fc.oneof(
  fc.constantFrom<unknown>(
    ...fragments.map((fragment) => fragment.trim()),
    null,
    [],
    {},
    true,
    -1,
    0,
    1e21,
  ),
  fc.constantFrom<unknown>(
    "https://h:99999",
    "https://a..b",
    "http://[::1",
    "https://h/v2/",
    "h:0",
  ),
  fc.webUrl(),
  fc.domain(),
  fc.ipV6(),
  fc.string({ unit: "binary", maxLength: 8 }),
  fc.jsonValue({ maxDepth: 2 }),
);

/**
 * Replaces the value at one position of a structure. `counter.remaining` is the number of values
 * before it.
 */
function replaced(value: unknown, counter: { remaining: number }, by: unknown): unknown {
  counter.remaining -= 1;
  if (counter.remaining < 0 && counter.remaining > -2) return by;
  if (Array.isArray(value)) return value.map((child: unknown) => replaced(child, counter, by));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, child]) => [key, replaced(child, counter, by)]),
  );
}

const structures = seeds
  .filter((seed) => !/^(?:#!|\[)/.test(seed))
  .flatMap((seed) => parseAllDocuments(seed, { merge: true }))
  .flatMap((document) => {
    const value: unknown = document.toJS();
    return typeof value === "object" ? [value] : [];
  });

test("files with any value at any position are imported into a valid configuration, or rejected with positions", () => {
  const texts = fc
    .tuple(fc.constantFrom(...structures), fc.nat(60), values)
    .map(([structure, remaining, by]) => stringify(replaced(structure, { remaining }, by)));
  fc.assert(fc.property(texts, expectImport), { numRuns: RUNS });
});

/** Puts a text in, or around, the key or value at one position of a structure. */
function poisoned(value: unknown, counter: { remaining: number }, by: string): unknown {
  const poison = (text: string): string => {
    counter.remaining -= 1;
    return counter.remaining === -1 ? text + by : text;
  };
  if (Array.isArray(value)) return value.map((child: unknown) => poisoned(child, counter, by));
  if (typeof value === "string") return poison(value);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, child]) => [poison(key), poisoned(child, counter, by)]),
  );
}

test("line breaks, quotes and control characters in any name and value stay data", () => {
  const texts = fc
    .tuple(fc.constantFrom(...structures), fc.nat(120), hostileText)
    .map(([structure, remaining, by]) => JSON.stringify(poisoned(structure, { remaining }, by)));
  fc.assert(fc.property(texts, expectImport), { numRuns: RUNS });
});

test("edited manifests are valid configurations, or rejected with positions", () => {
  fc.assert(
    fc.property(fc.constantFrom(...seeds), edits, (seed, changes) => {
      const text = edited(seed, changes);
      try {
        loadSettings({ flags: { config: "f" }, readFile: readOnly(text) });
      } catch (error) {
        expectPositions(error, text);
      }
    }),
    { numRuns: RUNS },
  );
});
