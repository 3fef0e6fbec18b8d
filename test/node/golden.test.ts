import { expect, test } from "bun:test";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { apply } from "../../src/node/apply.ts";
import { ContainerdRuntime } from "../../src/node/containerd/containerd-runtime.ts";
import { NodeFiles } from "../../src/node/files/node-files.ts";
import { rollback } from "../../src/node/rollback.ts";
import { NodeContext } from "../../src/node/node-context.ts";
import { tempDir } from "../harness/places.ts";
import { tree } from "./tree.ts";

// Each folder of test/golden/node is a conversion: the node's files before, and every file after. Write
// the after anew with GOLDEN=write, and read what git says of it.
const GOLDEN = fileURLToPath(new URL("../golden/node/", import.meta.url));

const form = z.strictObject({
  /** For which containerds the outcome is the same, byte for byte. */
  versions: z.array(z.string()),
  namespaces: z.array(z.string()).default(["docker.io", "ghcr.io"]),
  useDefault: z.boolean().default(false),
  adopt: z.boolean().default(false),
  replace: z.boolean().default(false),
  /** PEM of the authority of a cache that is asked over TLS. */
  cacheCa: z.string().optional(),
  /** Codes of what stops the plan; the files then stay as they are. */
  stops: z.array(z.string()).default([]),
  notes: z.array(z.string()).default([]),
});

for (const name of readdirSync(GOLDEN).sort()) {
  const folder = join(GOLDEN, name);
  const wanted = form.parse(JSON.parse(readFileSync(join(folder, "case.json"), "utf8")));
  for (const version of wanted.versions) {
    test(`${name}, containerd ${version}`, async () => {
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
      const { namespaces, useDefault, adopt, replace, cacheCa } = wanted;
      const cache = cacheCa === undefined ? "http://cache.test:5000" : "https://cache.test:5000";
      const ca = cacheCa === undefined ? {} : { cacheCa };
      const result = await apply({
        context,
        desired: { cache, ...ca, namespaces, useDefault, adopt, replace, dialTimeout: "1s" },
        all: false,
        cache: undefined,
        proves: false,
        probes: [],
        waitMs: 0,
        confirm: () => Promise.resolve(true),
        say: () => {},
      });
      expect(result.plan.obstacles.map((obstacle) => obstacle.code)).toEqual(wanted.stops);
      expect(result.plan.notes).toEqual(wanted.notes);
      const after = withoutState(tree(root));
      const expected = join(folder, "after");
      if (process.env["GOLDEN"] === "write") {
        rmSync(expected, { recursive: true, force: true });
        cpSync(root, expected, {
          recursive: true,
          filter: (path) => !path.includes("/var/lib/entrepot"),
        });
      }
      expect(after).toEqual(existsSync(expected) ? withoutState(tree(expected)) : before);
      await rollback({ context, confirm: () => Promise.resolve(true), say: () => {} });
      expect(withoutState(tree(root))).toEqual(before);
    });
  }
}

/** The journal has a place outside of what is compared. */
function withoutState(files: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(files).filter(([path]) => !/^var\/(?:lib\/(?:entrepot\/.*)?)?$/.test(path)),
  );
}
