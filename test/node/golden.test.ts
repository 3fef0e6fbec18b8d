import { expect, test } from "bun:test";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { apply } from "../../src/node/wiring/apply.ts";
import { ContainerdRuntime } from "../../src/node/containerd/runtime.ts";
import { NodeFiles } from "../../src/node/files/node-files.ts";
import { rollback } from "../../src/node/wiring/rollback.ts";
import { NodeContext } from "../../src/node/node-context.ts";
import { tempDir } from "../harness/temp-dir.ts";
import { tree } from "./tree.ts";

// Each directory of test/golden/node is one conversion, with the node's files before and after it.
// ENTREPOT_GOLDEN=write writes the files of `after` again: review them with git diff.
const GOLDEN = fileURLToPath(new URL("../golden/node/", import.meta.url));

const caseSchema = z.strictObject({
  /** The containerd versions for which the result is the same, byte for byte. */
  versions: z.array(z.string()),
  namespaces: z.array(z.string()).default(["docker.io", "ghcr.io"]),
  useDefault: z.boolean().default(false),
  adopt: z.boolean().default(false),
  replace: z.boolean().default(false),
  /** PEM of the CA of a cache that uses TLS. */
  cacheCa: z.string().optional(),
  /** Codes of the obstacles that block the plan. The files stay as they are then. */
  stops: z.array(z.string()).default([]),
  notes: z.array(z.string()).default([]),
});

for (const name of readdirSync(GOLDEN).sort()) {
  const folder = join(GOLDEN, name);
  const expectation = caseSchema.parse(JSON.parse(readFileSync(join(folder, "case.json"), "utf8")));
  for (const version of expectation.versions) {
    test(`${name} with containerd ${version}`, async () => {
      await using dir = await tempDir("golden");
      const root = dir.file("root");
      mkdirSync(root);
      if (existsSync(join(folder, "before")))
        cpSync(join(folder, "before"), root, { recursive: true });
      const before = tree(root);
      const files = new NodeFiles(root);
      const runtime = new ContainerdRuntime({ files, version, filesOnly: true });
      const context = new NodeContext({
        files,
        runtime,
        stateDirectory: "/var/lib/entrepot/node",
        filesOnly: true,
      });
      const { namespaces, useDefault, adopt, replace, cacheCa } = expectation;
      const cache = cacheCa === undefined ? "http://cache.test:5000" : "https://cache.test:5000";
      const ca = cacheCa === undefined ? {} : { cacheCa };
      const result = await apply({
        context,
        desired: { cache, ...ca, namespaces, useDefault, adopt, replace, dialTimeout: "1s" },
        all: false,
        cache: undefined,
        shouldProbe: false,
        probeImages: [],
        waitMs: 0,
        confirm: () => Promise.resolve(true),
        report: () => {},
      });
      expect(result.plan.obstacles.map((obstacle) => obstacle.code)).toEqual(expectation.stops);
      expect(result.plan.notes).toEqual(expectation.notes);
      const after = withoutState(tree(root));
      const expected = join(folder, "after");
      if (process.env["ENTREPOT_GOLDEN"] === "write") {
        rmSync(expected, { recursive: true, force: true });
        if (!Bun.deepEquals(after, before)) {
          cpSync(root, expected, {
            recursive: true,
            filter: (path) => !path.startsWith(join(root, "var")),
          });
        }
      }
      expect(after).toEqual(existsSync(expected) ? withoutState(tree(expected)) : before);
      await rollback({ context, confirm: () => Promise.resolve(true), report: () => {} });
      expect(withoutState(tree(root))).toEqual(before);
    });
  }
}

/** Removes the journal, which is not compared. */
function withoutState(files: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(files).filter(([path]) => !/^var\/(?:lib\/(?:entrepot\/.*)?)?$/.test(path)),
  );
}
