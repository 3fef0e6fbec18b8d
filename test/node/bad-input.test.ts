import { afterAll, beforeAll, expect } from "bun:test";
import { cpSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { startDockerRegistry } from "../harness/registries/docker-registry.ts";
import type { Entrepot } from "../harness/cache/entrepot.ts";
import { tempDir } from "../harness/temp-dir.ts";
import { mustRun } from "../harness/processes.ts";
import { real, realTest } from "../harness/real-components.ts";
import type { ScriptedUpstream } from "../harness/registries/scripted-upstream.ts";
import { until } from "../harness/waiting.ts";
import { cachedImage } from "./cached-image.ts";
import { PROGRAM, entrepotNode, optionsFor } from "./program.ts";
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

/** Runs an apply that must fail, and checks that it changed nothing and that pulls still work. */
async function failedApply(args: readonly string[]): Promise<{ code: number; text: string }> {
  const before = tree(node.paths.etc);
  const options = [...optionsFor(node), "--yes", "--wait", "1s"];
  const result = await entrepotNode(["apply", ...args, ...options]);
  expect(tree(node.paths.etc)).toEqual(before);
  await node.pull(image);
  return result;
}

const exits = (code: number, text: string): object => ({
  code,
  text: expect.stringContaining(text),
});

realTest("an invalid cache URL is rejected with the reason", async () => {
  expect(await failedApply(["--cache", "cache:5000"])).toMatchObject(
    exits(2, "write http://cache:5000"),
  );
  expect(await failedApply(["--cache", `${cache.url}/v2/`])).toMatchObject(
    exits(2, `has a path: write ${cache.url}`),
  );
  expect(await failedApply(["--cache", "ftp://cache:5000"])).toMatchObject(exits(2, "scheme ftp"));
  expect(await failedApply(["--cache", "http://u:p@cache:5000"])).toMatchObject(
    exits(2, "credentials"),
  );
  expect(await failedApply([])).toMatchObject(exits(2, "--cache"));
});

realTest("an --upstream that is invalid or that the cache does not serve is rejected", async () => {
  const named = (name: string): string[] => ["--cache", cache.url, "--upstream", name];
  expect(await failedApply(named("https://ghcr.io"))).toMatchObject(
    exits(2, "is not a valid registry"),
  );
  expect(await failedApply(named("ghcr.io"))).toMatchObject(
    exits(2, `It serves: ${upstream.address}`),
  );
});

realTest("a cache URL of a web page, another registry or no server is rejected", async () => {
  await using page = Object.assign(
    Bun.serve({
      port: 0,
      fetch: () => new Response("<!doctype html>", { headers: { "Content-Type": "text/html" } }),
    }),
    { [Symbol.asyncDispose]: async () => {} },
  );
  expect(await failedApply(["--cache", `http://127.0.0.1:${page.port}`])).toMatchObject(
    exits(1, "web page"),
  );
  await page.stop(true);
  await using registry = await startDockerRegistry();
  expect(await failedApply(["--cache", registry.url])).toMatchObject(exits(1, "is a registry"));
  expect(await failedApply(["--cache", "http://127.0.0.1:1"])).toMatchObject(
    exits(1, "refuses the connection"),
  );
  const https = cache.url.replace("http:", "https:");
  expect(await failedApply(["--cache", https])).toMatchObject(exits(1, "TLS failed"));
});

realTest("an invalid config.toml is rejected with its line and column", async () => {
  const config = node.paths.config;
  const good = readFileSync(config);
  node.write("config.toml", `${good.toString()}\n[plugins."x"\n  a = 1\n`);
  const lines = good.toString().split("\n").length;
  const result = await failedApply(["--cache", cache.url]);
  expect(result).toMatchObject(exits(1, `${config}:${lines + 1}:`));
  const check = await entrepotNode(["check", ...optionsFor(node)]);
  expect(check).toMatchObject(exits(1, `${config}:${lines + 1}:`));
  writeFileSync(config, good);
  await node.restart();
  await node.criReady();
});

realTest("--socket accepts a unix:// URL and a path through a symbolic link", async () => {
  await using dir = await tempDir();
  symlinkSync(dirname(node.paths.socket), dir.file("link"));
  const link = dir.file("link", basename(node.paths.socket));
  for (const socket of [`unix://${node.paths.socket}`, link]) {
    const args = ["check", "--socket", socket, "--state-dir", dir.file("state")];
    expect((await entrepotNode(args)).text).toContain(`configuration   ${node.paths.config}`);
  }
});

realTest(
  "check reports that no containerd is running, or that the socket does not serve CRI",
  async () => {
    await using dir = await tempDir();
    const nowhere = ["--socket", dir.file("none.sock"), "--containerd-config", node.paths.config];
    const state = ["--state-dir", dir.file("state")];
    const check = await entrepotNode(["check", ...nowhere, ...state]);
    expect(check).toMatchObject(exits(1, "nothing listens on"));
    const bare = await entrepotNode(["check", ...nowhere, ...state], {
      program: [process.execPath, join(import.meta.dir, "../../src/main.ts")],
      env: { PATH: "/nonexistent" },
    });
    expect(bare.code).toBe(1);
    const http = Bun.serve({ unix: dir.file("http.sock"), fetch: () => new Response("no") });
    const other = await entrepotNode(["check", "--socket", dir.file("http.sock"), ...state]);
    expect(other).toMatchObject(exits(1, "CRI does not respond"));
    await http.stop(true);
  },
);

realTest(
  "without permission nothing is changed, and the message says what is missing",
  async () => {
    // Root without the capabilities that bypass file modes, on files of another user: Bun does not start
    // as another user on every machine.
    const program = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", PROGRAM];
    await using dir = await tempDir();
    const etc = dir.file("etc/containerd");
    mkdirSync(etc, { recursive: true });
    cpSync(node.paths.config, join(etc, "config.toml"));
    const desired = ["--cache", "http://cache:5000", "--upstream", "ghcr.io"];
    const root = ["--root", dir.path, "--containerd-version", "1.7.24"];
    const before = tree(etc);
    await mustRun(["chown", "-R", "65534", etc]);
    await mustRun(["chmod", "700", etc]);
    expect(await entrepotNode(["apply", ...desired, ...root], { program })).toMatchObject(
      exits(1, "permission denied (run as root)"),
    );
    // Readable but not writable.
    await mustRun(["chmod", "755", etc]);
    expect(await entrepotNode(["plan", ...desired, ...root], { program })).toMatchObject({
      code: 0,
    });
    expect(await entrepotNode(["apply", ...desired, ...root], { program })).toMatchObject(
      exits(1, "permission denied (run as root)"),
    );
    expect(tree(etc)).toEqual(before);
  },
);

realTest("on a read-only file system, an apply fails and nothing is changed", async () => {
  const { etc } = node.paths;
  await mustRun(["mount", "--bind", etc, etc]);
  try {
    await mustRun(["mount", "-o", "remount,bind,ro", etc]);
    const result = await failedApply(["--cache", cache.url, "--probe", image]);
    expect(result).toMatchObject(exits(1, "the file system is read-only"));
  } finally {
    await mustRun(["umount", etc]);
  }
});

realTest(
  "of two concurrent runs, the second one is rejected and the first one succeeds",
  async () => {
    const args = ["apply", "--cache", cache.url, "--probe", image, "--yes", ...optionsFor(node)];
    const both = await Promise.all([entrepotNode(args), entrepotNode(args)]);
    const codes = both.map(({ code }) => code).toSorted((a, b) => a - b);
    // It may also come just as the first one restarts containerd.
    const rejected = both.filter(({ text }) =>
      /another entrepot node command is running|nothing listens on/.test(text),
    );
    // If one ended before the other started, the second one had nothing to do.
    expect({ both, codes }).toMatchObject({ codes: rejected.length === 1 ? [0, 1] : [0, 0] });
    expect(await entrepotNode(["verify", "--probe", image, ...optionsFor(node)])).toMatchObject({
      code: 0,
    });
    expect(await entrepotNode(["rollback", "--yes", ...optionsFor(node)])).toMatchObject({
      code: 0,
    });
  },
);

realTest(
  "an apply does not restart containerd with a configuration that was edited since its start",
  async () => {
    const { config } = node.paths;
    const good = readFileSync(config);
    const bad = good
      .toString()
      .replace(/^ *sandbox_image.*$/m, (line) => `${line}\n  stream_idle_timeout = "junk"`);
    expect(bad).not.toBe(good.toString());
    // Times of files and processes are compared with a tolerance of two seconds.
    await until(() => Date.now() > statSync(`/proc/${node.pid}`).ctimeMs + 3_000, {
      what: "containerd to run for a while",
    });
    writeFileSync(config, bad);
    const pid = node.pid;
    const result = await failedApply(["--cache", cache.url, "--probe", image]);
    expect(result).toMatchObject(exits(1, `${config} was modified after containerd started`));
    expect(node.pid).toBe(pid);
    writeFileSync(config, good);
    await node.restart();
    await node.criReady();
  },
);

realTest(
  "without --yes and a terminal, containerd is not restarted and nothing is changed",
  async () => {
    const before = tree(node.paths.etc);
    const { pid } = node;
    const result = await entrepotNode(["apply", "--cache", cache.url, ...optionsFor(node)]);
    expect(result).toMatchObject(exits(1, "the restart was not confirmed"));
    expect(tree(node.paths.etc)).toEqual(before);
    expect(node.pid).toBe(pid);
  },
);

realTest("an apply whose probe fails is reverted", async () => {
  const before = tree(node.paths.etc);
  const missing = `${upstream.address}/org/none:1`;
  const args = ["apply", "--cache", cache.url, "--probe", missing, "--yes", ...optionsFor(node)];
  expect(await entrepotNode(args)).toMatchObject(exits(1, "All changes were reverted"));
  expect(tree(node.paths.etc)).toEqual(before);
  await node.pull(image);
  expect(await entrepotNode(["rollback", ...optionsFor(node)])).toMatchObject(
    exits(0, "This node is not wired"),
  );
});

realTest("an apply whose restart fails is reverted", async () => {
  const before = tree(node.paths.etc);
  const options = ["--socket", node.paths.socket, "--state-dir", node.stateDir];
  const args = ["apply", "--cache", cache.url, "--yes", ...options, "--restart-command", "exit 3"];
  const result = await entrepotNode(args);
  expect(result).toMatchObject(exits(1, "exited with 3"));
  expect(tree(node.paths.etc)).toEqual(before);
  // The revert needs a restart too, which fails as well: a rollback with a working one finishes it.
  const back = await entrepotNode(["rollback", "--yes", ...optionsFor(node)]);
  expect(back.code).toBe(0);
  expect(tree(node.paths.etc)).toEqual(before);
});

realTest("an asynchronous restart is awaited, however slow it is", async () => {
  const before = tree(node.paths.etc);
  writeFileSync(
    node.file("restart-later.sh"),
    `(sleep 2; kill "$(cat ${node.file("pid")})") >/dev/null 2>&1 &\n`,
  );
  const options = [
    "--socket",
    node.paths.socket,
    "--state-dir",
    node.stateDir,
    "--restart-command",
    `sh ${node.file("restart-later.sh")}`,
    "--yes",
  ];
  const pidBefore = node.pid;
  const applied = await entrepotNode(["apply", "--cache", cache.url, "--probe", image, ...options]);
  expect(applied).toMatchObject(exits(0, "proven"));
  const pidWired = node.pid;
  expect(pidWired).not.toBe(pidBefore);
  expect(await entrepotNode(["rollback", ...options])).toMatchObject(
    exits(0, "All files are restored"),
  );
  expect(node.pid).not.toBe(pidWired);
  expect(tree(node.paths.etc)).toEqual(before);
});

realTest("a rollback keeps a file that was modified since, and reports it", async () => {
  const args = ["apply", "--cache", cache.url, "--probe", image, "--yes", ...optionsFor(node)];
  expect(await entrepotNode(args)).toMatchObject({ code: 0 });
  const name = `${upstream.address.replace(/:(\d+)$/, "_$1_")}/hosts.toml`;
  const file = join(node.paths.certs, name);
  const foreign = `# foreign now\n${readFileSync(file, "utf8")}`;
  writeFileSync(file, foreign);
  const back = await entrepotNode(["rollback", "--yes", ...optionsFor(node)]);
  expect(back).toMatchObject(exits(1, `${file}: modified at`));
  expect(readFileSync(file, "utf8")).toBe(foreign);
  expect(readFileSync(node.paths.config, "utf8")).toBe(baseConfig(node.paths));
});
