import { afterAll, beforeAll, expect } from "bun:test";
import { cpSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { startDockerRegistry } from "../harness/docker-registry.ts";
import type { Entrepot } from "../harness/entrepot.ts";
import { tempDir } from "../harness/places.ts";
import { mustRun } from "../harness/processes.ts";
import { real, realTest } from "../harness/real.ts";
import type { ScriptedUpstream } from "../harness/scripted-upstream.ts";
import { until } from "../harness/waiting.ts";
import { cachedImage } from "./cached-image.ts";
import { PROGRAM, entrepotNode, placesOf } from "./program.ts";
import { type SupervisedNode, baseConfig, startNode } from "./supervised.ts";
import { tree } from "./tree.ts";

let upstream: ScriptedUpstream;
let cache: Entrepot;
let node: SupervisedNode;
let image: string;
const stack = new AsyncDisposableStack();

beforeAll(async () => {
  if (!real.available) return;
  ({ upstream, cache, image } = stack.use(await cachedImage()));
  node = stack.use(await startNode("1.6"));
}, 60_000);

afterAll(() => stack.disposeAsync(), 30_000);

/** Runs an apply that must fail, and sees to it that no byte changed. */
async function refused(words: readonly string[]): Promise<{ code: number; text: string }> {
  const before = tree(node.places.etc);
  const ended = await entrepotNode(["apply", ...words, ...placesOf(node), "--yes", "--wait", "1s"]);
  expect(tree(node.places.etc)).toEqual(before);
  await node.pull(image);
  return ended;
}

const says = (code: number, text: string): object => ({
  code,
  text: expect.stringContaining(text),
});

realTest(
  "a cache URL without a scheme, with a path, with another scheme, with credentials",
  async () => {
    expect(await refused(["--cache", "cache:5000"])).toMatchObject(
      says(2, "write http://cache:5000"),
    );
    expect(await refused(["--cache", `${cache.url}/v2/`])).toMatchObject(
      says(2, `has a path: write ${cache.url}`),
    );
    expect(await refused(["--cache", "ftp://cache:5000"])).toMatchObject(says(2, "scheme ftp"));
    expect(await refused(["--cache", "http://u:p@cache:5000"])).toMatchObject(
      says(2, "credentials"),
    );
    expect(await refused([])).toMatchObject(says(2, "--cache"));
  },
);

realTest("a registry that is none, or that the cache does not serve", async () => {
  const named = (name: string): string[] => ["--cache", cache.url, "--upstream", name];
  expect(await refused(named("https://ghcr.io"))).toMatchObject(says(2, "is no registry"));
  expect(await refused(named("ghcr.io"))).toMatchObject(says(2, `Cached are: ${upstream.address}`));
});

realTest("a cache URL where a web page, another registry, or nobody answers", async () => {
  await using page = Object.assign(
    Bun.serve({
      port: 0,
      fetch: () => new Response("<!doctype html>", { headers: { "Content-Type": "text/html" } }),
    }),
    { [Symbol.asyncDispose]: async () => {} },
  );
  expect(await refused(["--cache", `http://127.0.0.1:${page.port}`])).toMatchObject(
    says(1, "web page"),
  );
  await page.stop(true);
  await using registry = await startDockerRegistry();
  expect(await refused(["--cache", registry.url])).toMatchObject(says(1, "is a registry"));
  expect(await refused(["--cache", "http://127.0.0.1:1"])).toMatchObject(
    says(1, "cannot be reached"),
  );
  const https = cache.url.replace("http:", "https:");
  expect(await refused(["--cache", https])).toMatchObject(says(1, "TLS failed"));
});

realTest("a config.toml that is no TOML is refused with its line and column", async () => {
  const config = node.places.config;
  const good = readFileSync(config);
  node.write("config.toml", `${good.toString()}\n[plugins."x"\n  a = 1\n`);
  const lines = good.toString().split("\n").length;
  const ended = await refused(["--cache", cache.url]);
  expect(ended).toMatchObject(says(1, `${config}:${lines + 1}:`));
  const check = await entrepotNode(["check", ...placesOf(node)]);
  expect(check).toMatchObject(says(1, `${config}:${lines + 1}:`));
  writeFileSync(config, good);
  await node.restart();
  await node.criReady();
});

realTest("a socket named as the kubelet has it, and by a link", async () => {
  await using dir = await tempDir();
  symlinkSync(dirname(node.places.socket), dir.file("link"));
  const link = dir.file("link", basename(node.places.socket));
  for (const socket of [`unix://${node.places.socket}`, link]) {
    const words = ["check", "--socket", socket, "--state-dir", dir.file("state")];
    expect((await entrepotNode(words)).text).toContain(`configuration   ${node.places.config}`);
  }
});

realTest("no containerd, and a socket that is not CRI", async () => {
  await using dir = await tempDir();
  const nowhere = ["--socket", dir.file("none.sock"), "--containerd-config", node.places.config];
  const state = ["--state-dir", dir.file("state")];
  const check = await entrepotNode(["check", ...nowhere, ...state]);
  expect(check).toMatchObject(says(1, "nothing answers at"));
  const bare = await entrepotNode(["check", ...nowhere, ...state], {
    program: [process.execPath, join(import.meta.dir, "../../src/main.ts")],
    env: { PATH: "/nonexistent" },
  });
  expect(bare.code).toBe(1);
  const http = Bun.serve({ unix: dir.file("http.sock"), fetch: () => new Response("no") });
  const other = await entrepotNode(["check", "--socket", dir.file("http.sock"), ...state]);
  expect(other).toMatchObject(says(1, "CRI does not answer"));
  await http.stop(true);
});

realTest("without permission nothing is touched, and it says what is missing", async () => {
  // root without the right to pass over modes, before files of somebody else: Bun does not start as
  // another user on every machine.
  const program = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", PROGRAM];
  await using dir = await tempDir();
  const etc = dir.file("etc/containerd");
  mkdirSync(etc, { recursive: true });
  cpSync(node.places.config, join(etc, "config.toml"));
  const wish = ["--cache", "http://cache:5000", "--upstream", "ghcr.io"];
  const places = ["--root", dir.path, "--containerd-version", "1.7.24"];
  const before = tree(etc);
  await mustRun(["chown", "-R", "65534", etc]);
  await mustRun(["chmod", "700", etc]);
  expect(await entrepotNode(["apply", ...wish, ...places], { program })).toMatchObject(
    says(1, "permission denied (run as root)"),
  );
  // Readable, and not writable.
  await mustRun(["chmod", "755", etc]);
  expect(await entrepotNode(["plan", ...wish, ...places], { program })).toMatchObject({ code: 0 });
  expect(await entrepotNode(["apply", ...wish, ...places], { program })).toMatchObject(
    says(1, "permission denied (run as root)"),
  );
  expect(tree(etc)).toEqual(before);
});

realTest(
  "a read-only file system: refused before anything is written, or all put back",
  async () => {
    const { etc } = node.places;
    await mustRun(["mount", "--bind", etc, etc]);
    try {
      await mustRun(["mount", "-o", "remount,bind,ro", etc]);
      const ended = await refused(["--cache", cache.url, "--probe", image]);
      expect(ended).toMatchObject(says(1, "the file system is read-only"));
    } finally {
      await mustRun(["umount", etc]);
    }
  },
);

realTest("two runs at once: the second one is told, and the first one ends well", async () => {
  const words = ["apply", "--cache", cache.url, "--probe", image, "--yes", ...placesOf(node)];
  const both = await Promise.all([entrepotNode(words), entrepotNode(words)]);
  const codes = both.map(({ code }) => code).toSorted((a, b) => a - b);
  const told = both.filter(({ text }) => text.includes("another entrepot node is at work"));
  // Where one was done before the other began, the second had nothing to do.
  expect({ both, codes }).toMatchObject({ codes: told.length === 1 ? [0, 1] : [0, 0] });
  expect(await entrepotNode(["verify", "--probe", image, ...placesOf(node)])).toMatchObject({
    code: 0,
  });
  expect(await entrepotNode(["rollback", "--yes", ...placesOf(node)])).toMatchObject({ code: 0 });
});

realTest("what somebody wrote since the start is not tried out by an apply", async () => {
  const { config } = node.places;
  const good = readFileSync(config);
  const bad = good
    .toString()
    .replace(/^ *sandbox_image.*$/m, (line) => `${line}\n  stream_idle_timeout = "junk"`);
  expect(bad).not.toBe(good.toString());
  // Times of files and of processes are compared to two seconds.
  await until(() => Date.now() > statSync(`/proc/${node.pid}`).ctimeMs + 3_000, {
    what: "containerd to run for a while",
  });
  writeFileSync(config, bad);
  const pid = node.pid;
  const ended = await refused(["--cache", cache.url, "--probe", image]);
  expect(ended).toMatchObject(says(1, `${config} changed after containerd's start`));
  expect(node.pid).toBe(pid);
  writeFileSync(config, good);
  await node.restart();
  await node.criReady();
});

realTest("a restart that nobody agreed to does not happen", async () => {
  const before = tree(node.places.etc);
  const { pid } = node;
  const ended = await entrepotNode(["apply", "--cache", cache.url, ...placesOf(node)]);
  expect(ended).toMatchObject(says(1, "the restart was not agreed to"));
  expect(tree(node.places.etc)).toEqual(before);
  expect(node.pid).toBe(pid);
});

realTest("a probe that fails puts everything back and containerd is as before", async () => {
  const before = tree(node.places.etc);
  const gone = `${upstream.address}/org/none:1`;
  const words = ["apply", "--cache", cache.url, "--probe", gone, "--yes", ...placesOf(node)];
  expect(await entrepotNode(words)).toMatchObject(says(1, "Everything is as it was before"));
  expect(tree(node.places.etc)).toEqual(before);
  await node.pull(image);
  expect(await entrepotNode(["rollback", ...placesOf(node)])).toMatchObject(
    says(0, "Nothing is wired"),
  );
});

realTest("a restart that fails puts everything back", async () => {
  const before = tree(node.places.etc);
  const places = ["--socket", node.places.socket, "--state-dir", node.stateDir];
  const words = ["apply", "--cache", cache.url, "--yes", ...places, "--restart-command", "exit 3"];
  const ended = await entrepotNode(words);
  expect(ended).toMatchObject(says(1, "ended with 3"));
  expect(tree(node.places.etc)).toEqual(before);
  // The way back needs a restart too, and there is none: the next one that works finishes it.
  const back = await entrepotNode(["rollback", "--yes", ...placesOf(node)]);
  expect(back.code).toBe(0);
  expect(tree(node.places.etc)).toEqual(before);
});

realTest("a restart that was only asked for is waited for, as slow as it is", async () => {
  const before = tree(node.places.etc);
  writeFileSync(
    node.file("ask.sh"),
    `(sleep 2; kill "$(cat ${node.file("pid")})") >/dev/null 2>&1 &\n`,
  );
  const places = ["--socket", node.places.socket, "--state-dir", node.stateDir];
  const ask = [...places, "--restart-command", `sh ${node.file("ask.sh")}`, "--yes"];
  const former = node.pid;
  const applied = await entrepotNode(["apply", "--cache", cache.url, "--probe", image, ...ask]);
  expect(applied).toMatchObject(says(0, "proven"));
  const wired = node.pid;
  expect(wired).not.toBe(former);
  expect(await entrepotNode(["rollback", ...ask])).toMatchObject(says(0, "Every byte"));
  expect(node.pid).not.toBe(wired);
  expect(tree(node.places.etc)).toEqual(before);
});

realTest("what somebody has changed since is not rolled back, and is told", async () => {
  const words = ["apply", "--cache", cache.url, "--probe", image, "--yes", ...placesOf(node)];
  expect(await entrepotNode(words)).toMatchObject({ code: 0 });
  const name = `${upstream.address.replace(/:(\d+)$/, "_$1_")}/hosts.toml`;
  const file = join(node.places.certs, name);
  const theirs = `# mine now\n${readFileSync(file, "utf8")}`;
  writeFileSync(file, theirs);
  const back = await entrepotNode(["rollback", "--yes", ...placesOf(node)]);
  expect(back).toMatchObject(says(1, `${file}: changed at`));
  expect(readFileSync(file, "utf8")).toBe(theirs);
  expect(readFileSync(node.places.config, "utf8")).toBe(baseConfig(node.places));
});
