import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { parse, stringify } from "yaml";
import { UnreadableError } from "../parsing/read-text.ts";
import { loadSettings } from "../load.ts";
import { ConfigError } from "../parsing/problems.ts";
import { importFiles } from "../import-files.ts";
import { writeConfig } from "./write-config.ts";

const RUNS = Number(process.env["ENTREPOT_FUZZ"] ?? 250);
const GOLDEN = path.join(import.meta.dir, "../../../test/golden/import");

/** Real files of every kind, as seeds. */
const seeds = readdirSync(GOLDEN, { recursive: true, encoding: "utf8" })
  .filter((name) => /\.(?:ya?ml|sh)$/.test(name) && !name.endsWith("entrepot.yaml"))
  .map((name) => readFileSync(path.join(GOLDEN, name), "utf8"));

/** What people and editors put into such files, and what is meant to break parsers. */
const pieces = [
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

type Edit = readonly [at: number, gone: number, put: string];
const edits = fc.array(
  fc.tuple(
    fc.nat(2_000),
    fc.nat(12),
    fc.oneof(fc.constantFrom(...pieces), fc.string({ maxLength: 6 })),
  ),
  { maxLength: 6 },
);

function edited(seed: string, changes: readonly Edit[]): string {
  return changes.reduce((text, [at, gone, put]) => {
    const from = at % (text.length + 1);
    return text.slice(0, from) + put + text.slice(from + gone);
  }, seed);
}

/** Fails unless a refusal says where, in the file that it is about. */
function expectPlaces(error: unknown, text: string): void {
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

const readOnly =
  (text: string) =>
  (file: string): string => {
    if (file === "f") return text;
    throw new UnreadableError("does not exist");
  };

function expectImport(text: string): void {
  const readFile = readOnly(text);
  let written: string;
  try {
    const secrets = { folder: undefined, readFile };
    const draft = importFiles({ files: ["f"], readFile, secrets, names: new Map() });
    written = writeConfig(draft, "entrepot import f");
  } catch (error) {
    expectPlaces(error, text);
    return;
  }
  try {
    loadSettings({ flags: { config: "f" }, readFile: readOnly(written) });
  } catch (error) {
    // Files that it names are not there: a certificate's, a password's.
    const said = error instanceof ConfigError ? error.message : String(error);
    if (!said.includes("does not exist")) throw new Error(`${said}\n${written}`, { cause: error });
  }
}

test("whatever is imported becomes a configuration that starts, or is refused with its places", () => {
  const texts = fc
    .tuple(fc.constantFrom(...seeds), edits)
    .map(([seed, made]) => edited(seed, made));
  fc.assert(fc.property(texts, expectImport), { numRuns: RUNS });
});

const values = fc.oneof(
  fc.constantFrom<unknown>(...pieces.map((piece) => piece.trim()), null, [], {}, true, -1, 0, 1e21),
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

/** Another value, or one more, at one place of a structure; which place is what is left of `at`. */
function replaced(value: unknown, at: { left: number }, by: unknown): unknown {
  at.left -= 1;
  if (at.left < 0 && at.left > -2) return by;
  if (Array.isArray(value)) return value.map((inner: unknown) => replaced(inner, at, by));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, replaced(inner, at, by)]),
  );
}

const structures = seeds
  .filter((seed) => !seed.startsWith("#!"))
  .flatMap((seed) => {
    const value: unknown = parse(seed, { merge: true });
    return typeof value === "object" ? [value] : [];
  });

test("so it is with any value at any place", () => {
  const texts = fc
    .tuple(fc.constantFrom(...structures), fc.nat(60), values)
    .map(([structure, left, by]) => stringify(replaced(structure, { left }, by)));
  fc.assert(fc.property(texts, expectImport), { numRuns: RUNS });
});

test("whatever is served as it is starts, or is refused with its places", () => {
  fc.assert(
    fc.property(fc.constantFrom(...seeds), edits, (seed, changes) => {
      const text = edited(seed, changes);
      try {
        loadSettings({ flags: { config: "f" }, readFile: readOnly(text) });
      } catch (error) {
        expectPlaces(error, text);
      }
    }),
    { numRuns: RUNS },
  );
});
