import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { FLOORS, ROOMS } from "./harness/layers.ts";

/** A room of conformance suites and other support that tests alone import: `storetest`. */
const TEST_ROOM = /^[a-z]+test$/;

/** Names that say nothing of what is in a file, so that anything gets in. */
const EMPTY_NAME = /^(?:(?:utils?|helpers?|common|misc|managers?|types)\b|shared\.)/i;
const LONGEST = 300;

/** Files by their path from the top of the checkout, `src/oci/digest.ts`. */
type Sources = Readonly<Record<string, string>>;

const STATEMENT = /^\s*(?:import|export)\b[^"';]*?\bfrom\s*["']([^"']+)["']/gm;
const SIDE_EFFECT = /^\s*import\s*["']([^"']+)["']/gm;
const EXPRESSION = /\b(?:import|require)\s*\(\s*["'`]([^"'`]+)["'`]/g;

const transpilers = {
  ".ts": new Bun.Transpiler({ loader: "ts" }),
  ".tsx": new Bun.Transpiler({ loader: "tsx" }),
};

/**
 * What a source imports. Bun's own parser leaves out imports of types, which are dependencies all
 * the same; the expressions find these. Each would miss something that the other finds.
 */
function importsOf(file: string, source: string): Set<string> {
  const transpiler = transpilers[file.endsWith(".tsx") ? ".tsx" : ".ts"];
  const found = [STATEMENT, SIDE_EFFECT, EXPRESSION].flatMap((expression) =>
    [...source.matchAll(expression)].map((match) => match[1] ?? ""),
  );
  return new Set([...found, ...transpiler.scanImports(source).map((entry) => entry.path)]);
}

function floorOf(file: string): string {
  return file.split("/")[1] ?? "";
}

/** The part of `file` that stands directly below `home`: a folder, or "." for a file. */
function roomIn(home: string, file: string): { readonly room: string; readonly name: string } {
  const [first = "", ...rest] = file.slice(`src/${home}/`.length).split("/");
  return rest.length === 0 ? { room: ".", name: first } : { room: first, name: first };
}

/** Why an import inside a floor is not allowed. */
function rejectInside(home: string, from: string, target: string): string | undefined {
  const [here, there] = [roomIn(home, from), roomIn(home, target)];
  const rooms = ROOMS[home];
  if (TEST_ROOM.test(here.room)) return undefined;
  if (here.room === there.room && here.room !== ".") {
    return rejectInside(`${home}/${here.room}`, from, target);
  }
  if (!rooms || rooms.above?.includes(here.name)) return undefined;
  if (rooms.above?.includes(there.name)) return `${from} imports ${target}, which stands above it`;
  if (here.room === there.room) return undefined;
  const allowed = rooms.folders[here.room];
  if (!allowed) return `${from}: ${home}/${here.room} is no room that is listed`;
  if (allowed.includes(there.room)) return undefined;
  return `${from} imports ${target}: ${home}/${here.room} may not import ${home}/${there.room}`;
}

/** Why an import is not allowed; undefined where it is. */
function rejectReason(from: string, specifier: string): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  const target = path.posix.join(path.posix.dirname(from), specifier);
  if (target === "package.json") return undefined;
  if (!target.startsWith("src/")) return `${from} imports ${target}, which is outside src/`;
  const [room, other] = [floorOf(from), floorOf(target)];
  const testRoom = target.split("/").find((part) => TEST_ROOM.test(part));
  if (testRoom !== undefined && !from.split("/").includes(testRoom)) {
    return `${from} imports ${target}, which is for tests alone`;
  }
  if (room === other) return rejectInside(room, from, target);
  const floor = FLOORS[room];
  const below = FLOORS[other];
  if (floor === undefined) return `${from}: ${room} has no floor`;
  if (below === undefined) return `${from} imports ${target}: ${other} has no floor`;
  // Commands and these files share the top floor: they are the doors of the commands.
  const doors = ["main.ts", "serve.ts", "node-command.ts", "operator-command.ts"];
  if (doors.includes(room) && other === "commands") return undefined;
  if (below < floor) return undefined;
  return `${from} (floor ${floor}) imports ${target} (floor ${below})`;
}

function violations(sources: Sources): string[] {
  return Object.entries(sources).flatMap(([file, source]) => {
    const found: string[] = [];
    if (EMPTY_NAME.test(path.posix.basename(file))) found.push(`${file}: its name says nothing`);
    const lines = source.trimEnd().split("\n").length;
    if (lines > LONGEST) found.push(`${file} has ${lines} lines: more than ${LONGEST}`);
    // A test may use whatever shows what it tests.
    if (file.endsWith(".test.ts")) return found;
    return found.concat(
      [...importsOf(file, source)].flatMap((specifier) => rejectReason(file, specifier) ?? []),
    );
  });
}

/** Files that import each other, each circle once: none of them can be understood, or moved, alone. */
function circles(sources: Sources): string[][] {
  const files = Object.keys(sources).filter((file) => !file.endsWith(".test.ts"));
  const imported = new Map(
    files.map((file) => [
      file,
      [...importsOf(file, sources[file] ?? "")]
        .filter((specifier) => specifier.startsWith("."))
        .map((specifier) => path.posix.join(path.posix.dirname(file), specifier)),
    ]),
  );
  const found: string[][] = [];
  const done = new Set<string>();
  const visit = (file: string, way: readonly string[]): void => {
    if (way.includes(file)) found.push([...way.slice(way.indexOf(file)), file]);
    if (done.has(file) || way.includes(file)) return;
    for (const other of imported.get(file) ?? []) visit(other, [...way, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  return found;
}

function readSources(): Sources {
  const root = path.dirname(import.meta.dir);
  const files = readdirSync(path.join(root, "src"), { recursive: true, encoding: "utf8" })
    .map((file) => `src/${file}`)
    .filter((file) => /\.tsx?$/.test(file));
  return Object.fromEntries(
    files.map((file) => [file, readFileSync(path.join(root, file), "utf8")]),
  );
}

test("modules import only from floors below their own, and from the rooms listed for them", () => {
  const sources = readSources();
  expect(Object.keys(sources).length).toBeGreaterThan(20);
  expect(violations(sources)).toEqual([]);
});

test("there are no import cycles between files", () => {
  expect(circles(readSources())).toEqual([]);
  const sources = {
    "src/oci/a.ts": 'import type { B } from "./b.ts";',
    "src/oci/b.ts": 'import { c } from "./c.ts";\nimport "node:fs";',
    "src/oci/c.ts": 'export * from "./a.ts";',
    "src/oci/d.ts": 'import { a } from "./a.ts";\nimport { b } from "./b.ts";',
  };
  expect(circles(sources)).toEqual([
    ["src/oci/a.ts", "src/oci/b.ts", "src/oci/c.ts", "src/oci/a.ts"],
  ]);
});

const samples: [file: string, source: string, found: string[]][] = [
  ["src/cache/a.ts", 'import { x } from "../store/blobs.ts";\nimport y from "zod";', []],
  ["src/cache/a.ts", 'import { x } from "./b.ts"; import "node:fs";', []],
  ["src/main.ts", 'import { x } from "./commands/serve.ts";', []],
  ["src/version.ts", 'import x from "../package.json" with { type: "json" };', []],
  ["src/server/a.test.ts", 'import { x } from "../../test/harness/y.ts";', []],
  [
    "src/oci/a.ts",
    'import { x } from "../store/blobs.ts";',
    ["src/oci/a.ts (floor 1) imports src/store/blobs.ts (floor 3)"],
  ],
  [
    "src/upstream/a.ts",
    'import type { Source } from "../cache/source.ts";',
    ["src/upstream/a.ts (floor 3) imports src/cache/source.ts (floor 4)"],
  ],
  [
    "src/store/a.ts",
    'import {\n  type X,\n  y,\n} from "../upstream/registry.ts";',
    ["src/store/a.ts (floor 3) imports src/upstream/registry.ts (floor 3)"],
  ],
  [
    "src/server/a.ts",
    'export type { X } from "../node/x.ts";\nexport * from "../commands/y.ts";',
    [
      "src/server/a.ts (floor 5) imports src/node/x.ts (floor 5)",
      "src/server/a.ts (floor 5) imports src/commands/y.ts (floor 6)",
    ],
  ],
  [
    "src/node/a.ts",
    'import "../server/x.ts";\nconst y = await import("../server/y.ts");',
    [
      "src/node/a.ts (floor 5) imports src/server/x.ts (floor 5)",
      "src/node/a.ts (floor 5) imports src/server/y.ts (floor 5)",
    ],
  ],
  [
    "src/config/a.ts",
    'type X = import("../telemetry/log.ts").Log;',
    ["src/config/a.ts (floor 2) imports src/telemetry/log.ts (floor 2)"],
  ],
  [
    "src/oci/a.ts",
    "const one = 1; import /* hidden */ { x } /* well */ from '../cache/x.ts'; one();x();",
    ["src/oci/a.ts (floor 1) imports src/cache/x.ts (floor 4)"],
  ],
  [
    "src/commands/a.ts",
    'import { x } from "../main.ts";',
    ["src/commands/a.ts (floor 6) imports src/main.ts (floor 6)"],
  ],
  [
    "src/cache/a.ts",
    'import { x } from "../../test/harness/y.ts";',
    ["src/cache/a.ts imports test/harness/y.ts, which is outside src/"],
  ],
  ["src/cellar/a.ts", 'import { x } from "../oci/y.ts";', ["src/cellar/a.ts: cellar has no floor"]],
  [
    "src/cache/a.ts",
    'import { x } from "../cellar/y.ts";',
    ["src/cache/a.ts imports src/cellar/y.ts: cellar has no floor"],
  ],
  ["src/cache/lookup/a.ts", 'import { x } from "../fill/b.ts"; import "../c.ts";', []],
  ["src/cache/cache.ts", 'import { x } from "./lookup/b.ts";', []],
  ["src/cache/fill/a.test.ts", 'import { x } from "../cachetest/b.ts";', []],
  [
    "src/node/containerd/hosts/a.ts",
    'import { x } from "../../files/b.ts"; import "../traits.ts";',
    [],
  ],
  [
    "src/cache/fill/a.ts",
    'import { x } from "../lookup/b.ts";',
    ["src/cache/fill/a.ts imports src/cache/lookup/b.ts: cache/fill may not import cache/lookup"],
  ],
  [
    "src/cache/results.ts",
    'import type { X } from "./fill/b.ts";',
    ["src/cache/results.ts imports src/cache/fill/b.ts: cache/. may not import cache/fill"],
  ],
  [
    "src/upstream/auth/a.ts",
    'import { x } from "../registry.ts";',
    ["src/upstream/auth/a.ts imports src/upstream/registry.ts, which stands above it"],
  ],
  [
    "src/cache/attic/a.ts",
    'import { x } from "../fill/b.ts";',
    ["src/cache/attic/a.ts: cache/attic is no room that is listed"],
  ],
  [
    "src/node/containerd/config/a.ts",
    'import { x } from "../hosts/b.ts";',
    [
      "src/node/containerd/config/a.ts imports src/node/containerd/hosts/b.ts: node/containerd/config may not import node/containerd/hosts",
    ],
  ],
  [
    "src/cache/lookup/a.ts",
    'import { x } from "../../store/storetest/b.ts";',
    ["src/cache/lookup/a.ts imports src/store/storetest/b.ts, which is for tests alone"],
  ],
  ["src/oci/utils.ts", "", ["src/oci/utils.ts: its name says nothing"]],
  ["src/oci/shared.ts", "", ["src/oci/shared.ts: its name says nothing"]],
  ["src/oci/helper-things.test.ts", "", ["src/oci/helper-things.test.ts: its name says nothing"]],
  ["src/oci/a.ts", "//\n".repeat(301), ["src/oci/a.ts has 301 lines: more than 300"]],
];

test.each(samples)("the sample %s (%#)", (file, source, found) => {
  expect(violations({ [file]: source })).toEqual(found);
});
