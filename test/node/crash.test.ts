import { afterAll, beforeAll, describe, expect } from "bun:test";
import { fileURLToPath } from "node:url";
import type { Entrepot } from "../harness/cache/entrepot.ts";
import { real, realTest } from "../harness/real-components.ts";
import type { ScriptedUpstream } from "../harness/registries/scripted-upstream.ts";
import { cachedImage } from "./cached-image.ts";
import { type ProgramResult, entrepotNode, optionsFor } from "./program.ts";
import {
  LINES,
  type NodePaths,
  type SupervisedNode,
  baseConfig,
  isLong,
  startNode,
} from "./supervised.ts";
import { tree } from "./tree.ts";

const SCRIPT = fileURLToPath(new URL("./crash-at-step.ts", import.meta.url));
const cri = `plugins."io.containerd.grpc.v1.cri"`;

let upstream: ScriptedUpstream;
let cache: Entrepot;
let image: string;
const stack = new AsyncDisposableStack();

beforeAll(async () => {
  if (!real.available) return;
  ({ upstream, cache, image } = stack.use(await cachedImage()));
}, 60_000);

afterAll(() => stack.disposeAsync(), 30_000);

/**
 * Two starting points that together need every kind of write. `oddSteps` is the first command after a
 * crash at an odd step; after an even step it is the other one.
 */
const startingPoints = [
  {
    name: "deprecated mirrors",
    oddSteps: "rollback",
    files: (paths: NodePaths) => ({
      "config.toml": `${baseConfig(paths)}  [${cri}.registry.mirrors."${upstream.address}"]\n    endpoint = ["http://127.0.0.1:1"]\n`,
    }),
  },
  {
    name: "hosts directories",
    oddSteps: "apply",
    files: (paths: NodePaths) => ({
      "config.toml": `${baseConfig(paths)}  [${cri}.registry]\n    config_path = "${paths.certs}"\n`,
      [`certs.d/${upstream.address}/hosts.toml`]: `server = "http://${upstream.address}"\n[host."http://127.0.0.1:1"]\n`,
    }),
  },
] as const;

describe.each(isLong ? LINES : (["1.6"] as const))("containerd %s", (line) => {
  for (const { name, files, oddSteps } of isLong ? startingPoints : startingPoints.slice(1)) {
    realTest(
      `from ${name}: a node whose apply is killed before any write still pulls, and the next run finishes`,
      async () => {
        await using node = await startNode(line, files);
        const before = tree(node.paths.etc);
        let output = "";
        let steps = 0;
        for (; !output.includes("ended: applied"); steps += 1) {
          node.replaceFiles(files(node.paths));
          await node.restart();
          await node.criReady();
          output = await killAtStep(node, steps + 1, "apply");
          await pullsNowAndAfterPowerLoss(node);
          if ((steps % 2 === 0) !== (oddSteps === "rollback")) {
            succeeded(output, await apply(node));
            succeeded(
              output,
              await entrepotNode(["verify", "--probe", image, ...optionsFor(node)]),
            );
            expect(leftovers(node)).toEqual([]);
          }
          succeeded(output, await rollback(node));
          expect(tree(node.paths.etc)).toEqual(before);
        }
        expect(steps).toBeGreaterThan(10);
      },
      600_000,
    );

    // Rollbacks after a killed apply are tested above. Killed rollbacks take as long again.
    if (!isLong) continue;
    realTest(
      `from ${name}: a node whose rollback is killed before any write still pulls, and the next run finishes`,
      async () => {
        await using node = await startNode(line, files);
        const before = tree(node.paths.etc);
        let output = "";
        for (let step = 1; !output.includes("ended: rolled-back"); step += 1) {
          succeeded(output, await apply(node));
          output = await killAtStep(node, step, "rollback");
          await pullsNowAndAfterPowerLoss(node);
          // An apply continues from there as well as another rollback does.
          if (step % 2 === 0) succeeded(output, await apply(node));
          succeeded(output, await rollback(node));
          expect(tree(node.paths.etc)).toEqual(before);
        }
      },
      600_000,
    );
  }
});

const desired = (): string[] => ["--cache", cache.url, "--adopt", "--yes", "--probe", image];
const apply = (node: SupervisedNode) => entrepotNode(["apply", ...desired(), ...optionsFor(node)]);
const rollback = (node: SupervisedNode) => entrepotNode(["rollback", "--yes", ...optionsFor(node)]);

/** @param output of the run that was killed, for the message of a failure. */
function succeeded(output: string, result: ProgramResult): void {
  expect({ output, ...result }).toMatchObject({ code: 0 });
}

async function pullsNowAndAfterPowerLoss(node: SupervisedNode): Promise<void> {
  await pullAndRemove(node);
  // After a power loss, containerd starts with what is on disk.
  await node.restart();
  await node.criReady();
  await pullAndRemove(node);
}

async function pullAndRemove(node: SupervisedNode): Promise<void> {
  await node.pull(image);
  await node.removeImage(image);
}

/** Runs a command that is killed before its n-th system call that changes something. */
async function killAtStep(
  node: SupervisedNode,
  n: number,
  verb: "apply" | "rollback",
): Promise<string> {
  const options = {
    n,
    verb,
    runtime: "containerd",
    cache: cache.url,
    namespaces: [upstream.address],
    probe: image,
    adopt: true,
    socket: node.paths.socket,
    stateDirectory: node.stateDir,
    restartCommand: node.restartCommand,
  };
  const child = Bun.spawn([process.execPath, SCRIPT, JSON.stringify(options)], {
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  await child.exited;
  if (child.signalCode !== "SIGKILL" && !out.includes("ended:")) throw new Error(out + err);
  return out;
}

function leftovers(node: SupervisedNode): string[] {
  return Object.keys(tree(node.paths.etc)).filter((name) => name.includes("entrepot-new"));
}
