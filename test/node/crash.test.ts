import { afterAll, beforeAll, describe, expect } from "bun:test";
import { fileURLToPath } from "node:url";
import type { Entrepot } from "../harness/entrepot.ts";
import { real, realTest } from "../harness/real.ts";
import type { ScriptedUpstream } from "../harness/scripted-upstream.ts";
import { cachedImage } from "./cached-image.ts";
import { type Ended, entrepotNode, placesOf } from "./program.ts";
import {
  LINES,
  type NodePlaces,
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

/** Two starts that between them need every kind of write, and which step a rollback finishes. */
const starts = [
  {
    name: "deprecated mirrors",
    oddSteps: "rollback",
    files: (places: NodePlaces) => ({
      "config.toml": `${baseConfig(places)}  [${cri}.registry.mirrors."${upstream.address}"]\n    endpoint = ["http://127.0.0.1:1"]\n`,
    }),
  },
  {
    name: "hosts directories",
    oddSteps: "apply",
    files: (places: NodePlaces) => ({
      "config.toml": `${baseConfig(places)}  [${cri}.registry]\n    config_path = "${places.certs}"\n`,
      [`certs.d/${upstream.address}/hosts.toml`]: `server = "http://${upstream.address}"\n[host."http://127.0.0.1:1"]\n`,
    }),
  },
] as const;

describe.each(isLong ? LINES : (["1.6"] as const))("containerd %s", (line) => {
  for (const { name, files, oddSteps } of isLong ? starts : starts.slice(1)) {
    realTest(
      `from ${name}: killed before every write of an apply, it pulls, and the next run finishes`,
      async () => {
        await using node = await startNode(line, files);
        const before = tree(node.places.etc);
        let told = "";
        let steps = 0;
        for (; !told.includes("ended: applied"); steps += 1) {
          node.lay(files(node.places));
          await node.restart();
          await node.criReady();
          told = await dieAt(node, steps + 1, "apply");
          await pullsNowAndAfterPowerCut(node);
          if ((steps % 2 === 0) !== (oddSteps === "rollback")) {
            good(told, await apply(node));
            good(told, await entrepotNode(["verify", "--probe", image, ...placesOf(node)]));
            expect(leftovers(node)).toEqual([]);
          }
          good(told, await rollback(node));
          expect(tree(node.places.etc)).toEqual(before);
        }
        expect(steps).toBeGreaterThan(10);
      },
      600_000,
    );

    // Rollbacks after a killed apply are above; killed ones themselves take as long again.
    if (!isLong) continue;
    realTest(
      `from ${name}: killed before every write of a rollback, it pulls, and the next run finishes`,
      async () => {
        await using node = await startNode(line, files);
        const before = tree(node.places.etc);
        let told = "";
        for (let step = 1; !told.includes("ended: rolled-back"); step += 1) {
          good(told, await apply(node));
          told = await dieAt(node, step, "rollback");
          await pullsNowAndAfterPowerCut(node);
          // An apply goes on from there as well as another rollback does.
          if (step % 2 === 0) good(told, await apply(node));
          good(told, await rollback(node));
          expect(tree(node.places.etc)).toEqual(before);
        }
      },
      600_000,
    );
  }
});

const wish = (): string[] => ["--cache", cache.url, "--adopt", "--yes", "--probe", image];
const apply = (node: SupervisedNode) => entrepotNode(["apply", ...wish(), ...placesOf(node)]);
const rollback = (node: SupervisedNode) => entrepotNode(["rollback", "--yes", ...placesOf(node)]);

/** @param told where the run before it was killed, for the message of a failure. */
function good(told: string, ended: Ended): void {
  expect({ told, ...ended }).toMatchObject({ code: 0 });
}

async function pullsNowAndAfterPowerCut(node: SupervisedNode): Promise<void> {
  await pullAfresh(node);
  // After a power cut containerd comes up with what is on the disk.
  await node.restart();
  await node.criReady();
  await pullAfresh(node);
}

async function pullAfresh(node: SupervisedNode): Promise<void> {
  await node.pull(image);
  await node.forget(image);
}

/** Runs it up to its n-th system call that changes something; says where it ended. */
async function dieAt(node: SupervisedNode, n: number, verb: "apply" | "rollback"): Promise<string> {
  const order = {
    n,
    verb,
    cache: cache.url,
    namespaces: [upstream.address],
    probe: image,
    adopt: true,
    socket: node.places.socket,
    stateDirectory: node.stateDir,
    restartCommand: node.restartCommand,
  };
  const child = Bun.spawn([process.execPath, SCRIPT, JSON.stringify(order)], {
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
  return Object.keys(tree(node.places.etc)).filter((name) => name.includes("entrepot-new"));
}
