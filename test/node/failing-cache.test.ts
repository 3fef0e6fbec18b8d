import { afterAll, beforeAll, expect } from "bun:test";
import { apply } from "../../src/node/wiring/apply.ts";
import { CacheClient } from "../../src/node/cache-client.ts";
import { ContainerdRuntime } from "../../src/node/containerd/runtime.ts";
import { NodeFiles } from "../../src/node/files/node-files.ts";
import { NodeContext } from "../../src/node/node-context.ts";
import { real, realTest } from "../harness/real-components.ts";
import { type CachedImage, cachedImage } from "./cached-image.ts";
import { entrepotNode, optionsFor } from "./program.ts";
import { type SupervisedNode, startNode } from "./supervised.ts";
import { tree } from "./tree.ts";

let cached: CachedImage;
let node: SupervisedNode;
const stack = new AsyncDisposableStack();

beforeAll(async () => {
  if (!real.available) return;
  cached = stack.use(await cachedImage());
  node = stack.use(await startNode("1.6"));
}, 60_000);

afterAll(() => stack.disposeAsync(), 30_000);

realTest(
  "an apply is reverted when the cache responds with web pages once it is wired",
  async () => {
    const { cache, image } = cached;
    let hasFailed = false;
    await using front = Object.assign(
      Bun.serve({
        port: 0,
        fetch: (request) => {
          const { pathname, search } = new URL(request.url);
          const isPull = /\/(?:manifests|blobs)\//.test(pathname);
          hasFailed ||= isPull;
          return isPull
            ? new Response("<!doctype html>", { headers: { "Content-Type": "text/html" } })
            : fetch(cache.url + pathname + search, { headers: request.headers });
        },
      }),
      { [Symbol.asyncDispose]: () => front.stop(true) },
    );
    const before = tree(node.paths.etc);
    const args = ["apply", "--cache", front.url.origin, "--probe", image, "--yes"];
    expect(await entrepotNode([...args, ...optionsFor(node)])).toMatchObject({
      code: 1,
      text: expect.stringContaining("All changes were reverted"),
    });
    expect(hasFailed).toBe(true);
    expect(tree(node.paths.etc)).toEqual(before);
    await node.pull(image);
    await node.removeImage(image);
  },
);

realTest("an apply is reverted when the cache crashes or hangs in the middle of it", async () => {
  const { cache, image } = cached;
  const { socket } = node.paths;
  const files = new NodeFiles("/");
  const { restartCommand } = node;
  const before = tree(node.paths.etc);
  for (const signal of ["SIGSTOP", "SIGKILL"] as const) {
    const runtime = new ContainerdRuntime({ files, socket, restartCommand, filesOnly: false });
    const beforeSyscall = (operation: string, path: string): void => {
      // The cache has passed the check and hosts.toml is written, but config.toml is not.
      if (operation === "rename" && path === node.paths.config) cache.signal(signal);
    };
    const stateDirectory = node.stateDir;
    const context = new NodeContext({
      files,
      runtime,
      stateDirectory,
      filesOnly: false,
      beforeSyscall,
    });
    const result = await apply({
      context,
      desired: {
        cache: cache.url,
        namespaces: [cached.upstream.address],
        useDefault: false,
        adopt: false,
        replace: false,
        dialTimeout: "1s",
      },
      all: false,
      cache: new CacheClient(cache.url),
      shouldProbe: true,
      probeImages: [image],
      waitMs: 1_000,
      confirm: () => Promise.resolve(true),
      report: () => {},
    });
    expect({ signal, outcome: result.outcome }).toEqual({ signal, outcome: "reverted" });
    expect(tree(node.paths.etc)).toEqual(before);
    await node.pull(image);
    await node.removeImage(image);
    if (signal === "SIGSTOP") cache.signal("SIGCONT");
  }
});
