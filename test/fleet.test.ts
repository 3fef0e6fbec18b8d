import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { renderChart } from "./harness/pods/helm.ts";
import { mustRun, run } from "./harness/processes.ts";
import { realTest } from "./harness/real-components.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { PROGRAM } from "./node/program.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const guide = readFileSync(join(ROOT, "docs/how-to/wire-a-fleet.md"), "utf8");
const blocks = [...guide.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, yaml = ""]) => yaml);

/** Every list of strings in a document, at any depth: those of commands are among them. */
function stringLists(value: unknown): string[][] {
  if (typeof value !== "object" || value === null) return [];
  const deeper = Object.values(value).flatMap(stringLists);
  const isCommand = Array.isArray(value) && value.every((it) => typeof it === "string");
  return isCommand ? [value, ...deeper] : deeper;
}

const commands = blocks
  .flatMap((yaml) => stringLists(Bun.YAML.parse(yaml)))
  .filter((list) => list.includes("node"))
  .map((list) => list.slice(list.indexOf("node") + 1));

test("the YAML of the guide for fleets parses, and has a playbook", () => {
  const [playbook] = blocks.map((yaml): unknown => Bun.YAML.parse(yaml));
  expect(playbook).toMatchObject([
    {
      hosts: "nodes",
      tasks: expect.arrayContaining([expect.objectContaining({ check_mode: false })]),
    },
  ]);
  expect(commands.map(([name]) => name)).toEqual(["plan", "apply", "verify"]);
});

realTest("the chart takes the values of the guide, and runs commands that exist", async () => {
  const objects = await renderChart(blocks[1]);
  const node = objects.find(
    ({ kind, metadata: { name } }) => kind === "DaemonSet" && name === "entrepot-node",
  );
  expect(JSON.stringify(node)).toContain('"path":"/run/systemd"');
  const rendered = stringLists(objects)
    .filter(([program]) => program === "node")
    .map(([, ...list]) => list);
  const names = new Set(rendered.map(([name]) => name));
  expect(names).toEqual(new Set(["apply", "watch", "rollback", "await"]));
  for (const [name = "", ...options] of rendered)
    expect([name, await unknownOptions(name, options)]).toEqual([name, []]);
});

async function unknownOptions(name: string, options: readonly string[]): Promise<string[]> {
  const { stdout } = await run([PROGRAM, "node", name, "--help"]);
  const known = new Set(stdout.match(/--[a-z][a-z-]+/g));
  const used = options.filter((it) => it.startsWith("--")).map((it) => it.replace(/=.*/, ""));
  return used.filter((option) => !known.has(option));
}

test.each(commands)(
  "the guide's command has options that exist: %s %s",
  async (name = "", ...options) => {
    expect(await unknownOptions(name, options)).toEqual([]);
  },
);

realTest("systemd accepts the watcher's unit and rates its sandboxing", async () => {
  await using dir = await tempDir("unit");
  const unit = dir.file("entrepot-node-watch.service");
  const text = readFileSync(join(ROOT, "deploy/systemd/entrepot-node-watch.service"), "utf8");
  // The program may be installed elsewhere on this machine.
  writeFileSync(unit, text.replaceAll("/usr/local/bin/entrepot", PROGRAM));
  const verified = await run(["systemd-analyze", "verify", "--man=no", unit]);
  expect({ code: verified.code, stderr: verified.stderr }).toEqual({ code: 0, stderr: "" });
  const rated = await mustRun(["systemd-analyze", "security", "--offline=true", unit]);
  const level = /exposure level for entrepot-node-watch\.service: ([\d.]+)/.exec(rated)?.[1];
  // It has to see and signal the runtimes' processes, which the cache itself need not.
  expect(Number(level)).toBeLessThan(5);
});
