import { afterAll, beforeAll, describe, expect } from "bun:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Entrepot, localUpstream, startEntrepot } from "../harness/entrepot.ts";
import { textImage } from "../harness/images.ts";
import { real, realTest } from "../harness/real.ts";
import { type ScriptedUpstream, startScriptedUpstream } from "../harness/scripted-upstream.ts";
import { entrepotNode, placesOf } from "./program.ts";
import { LINES, type SupervisedNode, baseConfig, newNode } from "./supervised.ts";
import { tree } from "./tree.ts";

const SCRIPT = fileURLToPath(new URL("./apply-and-die.ts", import.meta.url));
const cri = `plugins."io.containerd.grpc.v1.cri"`;

let upstream: ScriptedUpstream;
let cache: Entrepot;
const stack = new AsyncDisposableStack();

beforeAll(async () => {
  if (!real.available) return;
  upstream = stack.use(await startScriptedUpstream());
  upstream.add("org/hello", textImage({ text: "hello" }), "1");
  const config = { upstreams: { [upstream.address]: localUpstream(upstream.url) } };
  cache = stack.use(await startEntrepot({ config }));
}, 60_000);

afterAll(() => stack.disposeAsync(), 30_000);

/** Two starts that between them need every kind of write. */
const starts = {
  "from deprecated mirrors": (node: SupervisedNode) => ({
    "config.toml": `${baseConfig(node.places)}  [${cri}.registry.mirrors."${upstream.address}"]\n    endpoint = ["http://127.0.0.1:1"]\n`,
  }),
  "from hosts directories": (node: SupervisedNode) => ({
    "config.toml": `${baseConfig(node.places)}  [${cri}.registry]\n    config_path = "${node.places.certs}"\n`,
    [`certs.d/${upstream.address}/hosts.toml`]: `server = "http://${upstream.address}"\n[host."http://127.0.0.1:1"]\n`,
  }),
} as const;

describe.each(LINES)("containerd %s", (line) => {
  for (const [name, files] of Object.entries(starts)) {
    realTest(
      `killed before every write of an apply and of a rollback, ${name}`,
      async () => {
        await using node = await newNode(line);
        lay(node, files(node));
        await node.begin();
        await node.criReady();
        const before = tree(node.places.etc);
        const image = `${upstream.address}/org/hello:1`;

        let applied = "";
        let steps = 0;
        for (let n = 1; !applied.includes("ended: applied"); n += 1, steps += 1) {
          lay(node, files(node));
          await node.restart();
          await node.criReady();
          applied = await dieAt(node, n, "apply");
          await pullAfresh(node, image);
          // A power cut in this moment: containerd comes up with what is on the disk.
          await node.restart();
          await node.criReady();
          await pullAfresh(node, image);
          const again = await entrepotNode([
            "apply",
            "--cache",
            cache.url,
            "--adopt",
            "--yes",
            "--probe",
            image,
            ...placesOf(node),
          ]);
          expect({ n, applied, ...again }).toMatchObject({ code: 0 });
          const proof = await entrepotNode(["verify", "--probe", image, ...placesOf(node)]);
          expect({ n, applied, ...proof }).toMatchObject({ code: 0 });
          expect(leftovers(node)).toEqual([]);
          const back = await entrepotNode(["rollback", "--yes", ...placesOf(node)]);
          expect({ n, applied, ...back }).toMatchObject({ code: 0 });
          expect(tree(node.places.etc)).toEqual(before);
        }
        expect(steps).toBeGreaterThan(10);

        let taken = "";
        for (let n = 1; !taken.includes("ended: rolled-back"); n += 1) {
          const wired = await entrepotNode([
            "apply",
            "--cache",
            cache.url,
            "--adopt",
            "--yes",
            "--probe",
            image,
            ...placesOf(node),
          ]);
          expect(wired.code).toBe(0);
          taken = await dieAt(node, n, "rollback");
          await pullAfresh(node, image);
          await node.restart();
          await node.criReady();
          await pullAfresh(node, image);
          const back = await entrepotNode(["rollback", "--yes", ...placesOf(node)]);
          expect({ n, taken, ...back }).toMatchObject({ code: 0 });
          expect(tree(node.places.etc)).toEqual(before);
        }
      },
      600_000,
    );
  }
});

function lay(node: SupervisedNode, files: Record<string, string>): void {
  rmSync(node.places.etc, { recursive: true, force: true });
  rmSync(node.stateDir, { recursive: true, force: true });
  for (const [name, text] of Object.entries(files)) {
    const path = join(node.places.etc, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
}

async function dieAt(node: SupervisedNode, n: number, verb: "apply" | "rollback"): Promise<string> {
  const order = {
    n,
    verb,
    cache: cache.url,
    namespaces: [upstream.address],
    probe: `${upstream.address}/org/hello:1`,
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

async function pullAfresh(node: SupervisedNode, image: string): Promise<void> {
  await node.pull(image);
  await node.forget(image);
}

function leftovers(node: SupervisedNode): string[] {
  return Object.keys(tree(node.places.etc)).filter((name) => name.includes("entrepot-new"));
}
