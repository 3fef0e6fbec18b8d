import { expect, test } from "bun:test";
import { parse } from "yaml";
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { apply } from "../../src/node/wiring/apply.ts";
import { NodeFiles } from "../../src/node/files/node-files.ts";
import { NodeContext } from "../../src/node/node-context.ts";
import type { DesiredState } from "../../src/node/plan.ts";
import { rollback } from "../../src/node/wiring/rollback.ts";
import type { RuntimeName } from "../../src/node/runtime.ts";
import { openRuntime, stateDirectoryOf } from "../../src/node/runtimes.ts";
import { type TempDir, tempDir } from "../harness/temp-dir.ts";
import { isLong } from "./supervised.ts";
import { tree } from "./tree.ts";

const SCRIPT = fileURLToPath(new URL("./crash-at-step.ts", import.meta.url));
const AT_ONCE = 2;
/** Each step takes a process of its own: only `npm run test:long` stops at all of them. */
const STRIDE = isLong ? 1 : 9;

/** What the suite has to know of a runtime. */
export interface Conformance {
  readonly runtime: RuntimeName;
  /** What is special about its files. */
  readonly variant?: string;
  /** Texts by their path on the node, with settings and comments of others that have to stay. */
  readonly files: Readonly<Record<string, string>>;
  /** The registries that it can be wired to. */
  readonly namespaces: readonly string[];
  /** Texts, or targets of links, by which the node is one that something else manages. */
  readonly managed: Readonly<Record<string, string | { readonly link: string }>>;
  /** A file in which others have settings too, and an edit of it by them. */
  readonly shared?: { readonly path: string; readonly edit: (text: string) => string };
  /** Another one of the suite has the same code in the same order: not killed at each of its steps. */
  readonly isSameAs?: RuntimeName;
}

const CACHE = "http://cache.test:5000";
const CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
const STATE = "/var/lib/entrepot/node";

/**
 * What every runtime guarantees, on the files of a node that does not run: it is wired as asked, once and
 * for all, restored byte for byte, at any time after a kill at any write, and left alone where something
 * else would undo it.
 */
export function runtimeConformance(subject: Conformance): void {
  const { runtime, variant, namespaces, managed, isSameAs } = subject;
  const name = variant === undefined ? runtime : `${runtime} (${variant})`;
  const desired: DesiredState = {
    cache: CACHE,
    namespaces,
    useDefault: false,
    adopt: true,
    replace: false,
    dialTimeout: "1s",
  };

  test(`${name}: a second apply changes nothing, and a rollback restores every byte`, async () => {
    await using dir = await nodeOf(subject);
    const before = tree(dir.file("etc"));
    const node = contextOf(dir, runtime);
    expect(await node.apply(desired)).toBe("applied");
    const wired = tree(dir.file("etc"));
    expect(Object.values(wired).join("\n")).toContain("cache.test:5000");
    expect(await node.apply(desired)).toBe("nothing-to-do");
    expect(tree(dir.file("etc"))).toEqual(wired);
    // Another cache takes the place of the first, whose name is nowhere then. It has a CA of its own.
    const other = { ...desired, cache: "https://other.test:5000", cacheCa: CA };
    expect(await node.apply(other)).toBe("applied");
    const texts = Object.values(tree(dir.file("etc"))).join("\n");
    expect(texts).not.toContain("cache.test");
    expect(texts).toContain(CA);
    expect(await node.apply(desired)).toBe("applied");
    // Directories that were made for the CA stay until the rollback.
    expect(filesIn(tree(dir.file("etc")))).toEqual(filesIn(wired));
    expect(await node.rollback()).toBe("rolled-back");
    expect(tree(dir.file("etc"))).toEqual(before);
    expect(await node.rollback()).toBe("nothing-to-do");
  });

  const { shared } = subject;
  if (shared !== undefined) {
    test(`${name}: an edit by others outlives another apply and the rollback`, async () => {
      await using dir = await nodeOf(subject);
      const file = dir.file(shared.path);
      const expected = shared.edit(readFileSync(file, "utf8"));
      const edit = (): void => writeFileSync(file, shared.edit(readFileSync(file, "utf8")));
      const node = contextOf(dir, runtime);
      expect(await node.apply(desired)).toBe("applied");
      edit();
      expect(readFileSync(file, "utf8")).toContain("cache.test");
      // Nothing has to be changed, but the journal has to know of it.
      expect(await node.apply(desired)).toBe("applied");
      expect(await node.apply(desired)).toBe("nothing-to-do");
      expect(await node.rollback()).toBe("rolled-back");
      const parsed = parse(expected.replaceAll("\t", " ")) as object;
      expect(parse(readFileSync(file, "utf8").replaceAll("\t", " "))).toMatchObject(parsed);
      expect(readFileSync(file, "utf8")).not.toContain("cache.test");

      writeFileSync(file, subject.files[shared.path] ?? "");
      expect(await node.apply({ ...desired, cache: "https://c.cache.test", cacheCa: CA })).toBe(
        "applied",
      );
      edit();
      expect(await node.apply({ ...desired, cache: "http://other.test:5000" })).toBe("applied");
      expect(readFileSync(file, "utf8")).toContain("other.test:5000");
      expect(readFileSync(file, "utf8")).not.toContain("cache.test");
      edit();
      expect(await node.rollback()).toBe("rolled-back");
      expect(parse(readFileSync(file, "utf8").replaceAll("\t", " "))).toMatchObject(parsed);
      expect(Object.values(tree(dir.file("etc"))).join("\n")).not.toMatch(/(?:cache|other)\.test/);
    });
  }

  test(`${name}: what something else manages stays as it is`, async () => {
    await using dir = await nodeOf(subject, managed);
    const before = tree(dir.file("etc"));
    expect(await contextOf(dir, runtime).apply(desired)).toBe("blocked: managed");
    expect(tree(dir.file("etc"))).toEqual(before);
  });

  if (isSameAs !== undefined) return;
  test(`${name}: after a kill at any write, every file is whole, and the next run finishes or restores`, async () => {
    await using reference = await nodeOf(subject);
    const before = tree(reference.file("etc"));
    expect(await contextOf(reference, runtime).apply(desired)).toBe("applied");
    const wired = tree(reference.file("etc"));
    const from = async (step: number): Promise<boolean> => {
      await using dir = await nodeOf(subject);
      const output = await killAtStep(dir, runtime, step, desired);
      for (const [path, text] of Object.entries(withoutTemporary(tree(dir.file("etc")))))
        expect([before[path], wired[path]]).toContain(text);
      const node = contextOf(dir, runtime);
      if (step % 2 === 0) {
        const outcome = await node.apply(desired);
        expect(["applied", "nothing-to-do"]).toContain(outcome);
        expect(tree(dir.file("etc"))).toEqual(wired);
      }
      expect(["rolled-back", "nothing-to-do"]).toContain(await node.rollback());
      expect(tree(dir.file("etc"))).toEqual(before);
      return output.includes("ended: applied");
    };
    let isEnded = false;
    let steps = 0;
    while (!isEnded) {
      const next = Array.from({ length: AT_ONCE }, (_, index) => from(steps + index * STRIDE + 1));
      isEnded = (await Promise.all(next)).some(Boolean);
      steps += AT_ONCE * STRIDE;
    }
    expect(steps).toBeGreaterThan(6);
  }, 300_000);
}

async function nodeOf({ files }: Conformance, more: Conformance["managed"] = {}): Promise<TempDir> {
  const dir = await tempDir("conform");
  for (const [path, content] of Object.entries({ ...files, ...more })) {
    mkdirSync(dirname(dir.file(path)), { recursive: true });
    if (typeof content === "string") writeFileSync(dir.file(path), content);
    else {
      const target = join(dirname(dir.file(path)), content.link);
      mkdirSync(dirname(target), { recursive: true });
      writeFileSync(target, files[path] ?? "");
      rmSync(dir.file(path), { force: true });
      symlinkSync(content.link, dir.file(path));
    }
  }
  return dir;
}

function contextOf(dir: TempDir, name: RuntimeName) {
  const files = new NodeFiles(dir.path);
  const context = new NodeContext({
    files,
    runtime: openRuntime(name, { files, filesOnly: true }),
    stateDirectory: stateDirectoryOf(name, STATE),
    filesOnly: true,
  });
  const confirm = (): Promise<boolean> => Promise.resolve(true);
  const report = (): void => {};
  const rest = { all: false, shouldProbe: false, probeImages: [], waitMs: 0, cache: undefined };
  return {
    /** The outcome, with the codes of the obstacles if there are any. */
    async apply(desired: DesiredState): Promise<string> {
      const { outcome, plan } = await apply({ context, desired, confirm, report, ...rest });
      const codes = plan.obstacles.map((obstacle) => obstacle.code);
      return codes.length === 0 ? outcome : `${outcome}: ${codes.join()}`;
    },
    async rollback(): Promise<string> {
      return (await rollback({ context, confirm, report })).outcome;
    },
  };
}

async function killAtStep(
  dir: TempDir,
  runtime: RuntimeName,
  n: number,
  { cache, namespaces, adopt }: DesiredState,
): Promise<string> {
  const stateDirectory = stateDirectoryOf(runtime, STATE);
  const where = { runtime, root: dir.path, stateDirectory };
  const options = JSON.stringify({ n, verb: "apply", cache, namespaces, adopt, ...where });
  const child = Bun.spawn([process.execPath, SCRIPT, options], { stdout: "pipe", stderr: "pipe" });
  const output = await new Response(child.stdout).text();
  const errors = await new Response(child.stderr).text();
  await child.exited;
  if (child.signalCode !== "SIGKILL" && !output.includes("ended:")) throw new Error(errors);
  return output;
}

function filesIn(found: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(found).filter(([path]) => !path.endsWith("/")));
}

function withoutTemporary(files: Readonly<Record<string, string>>): Record<string, string> {
  const isTemporary = (path: string): boolean => path.includes(".entrepot-new");
  return Object.fromEntries(Object.entries(files).filter(([path]) => !isTemporary(path)));
}
