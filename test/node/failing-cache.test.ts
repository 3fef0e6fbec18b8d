import { afterAll, beforeAll, expect } from "bun:test";
import { apply } from "../../src/node/apply.ts";
import { CacheClient } from "../../src/node/cache-client.ts";
import { ContainerdRuntime } from "../../src/node/containerd/containerd-runtime.ts";
import { NodeFiles } from "../../src/node/files/node-files.ts";
import { NodeContext } from "../../src/node/node-context.ts";
import { real, realTest } from "../harness/real.ts";
import { type CachedImage, cachedImage } from "./cached-image.ts";
import { entrepotNode, placesOf } from "./program.ts";
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

realTest("a cache that turns into a web page once it is wired: all is put back", async () => {
  const { cache, image } = cached;
  let isPage = false;
  await using front = Object.assign(
    Bun.serve({
      port: 0,
      fetch: (request) => {
        const { pathname, search } = new URL(request.url);
        const isPull = /\/(?:manifests|blobs)\//.test(pathname);
        isPage ||= isPull;
        return isPull
          ? new Response("<!doctype html>", { headers: { "Content-Type": "text/html" } })
          : fetch(cache.url + pathname + search, { headers: request.headers });
      },
    }),
    { [Symbol.asyncDispose]: () => front.stop(true) },
  );
  const before = tree(node.places.etc);
  const words = ["apply", "--cache", front.url.origin, "--probe", image, "--yes"];
  expect(await entrepotNode([...words, ...placesOf(node)])).toMatchObject({
    code: 1,
    text: expect.stringContaining("Everything is as it was before"),
  });
  expect(isPage).toBe(true);
  expect(tree(node.places.etc)).toEqual(before);
  await node.pull(image);
  await node.forget(image);
});

realTest("a cache that dies, or hangs, in the middle of an apply: all is put back", async () => {
  const { cache, image } = cached;
  const { socket } = node.places;
  const files = new NodeFiles("/");
  const { restartCommand } = node;
  const before = tree(node.places.etc);
  for (const signal of ["SIGSTOP", "SIGKILL"] as const) {
    const runtime = new ContainerdRuntime({ files, socket, restartCommand, filesOnly: false });
    const witness = (operation: string, path: string): void => {
      // It has answered for its registry, and its mirror is written; config.toml is not.
      if (operation === "rename" && path === node.places.config) cache.signal(signal);
    };
    const stateDirectory = node.stateDir;
    const context = new NodeContext({ files, runtime, stateDirectory, filesOnly: false, witness });
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
      proves: true,
      probes: [image],
      waitMs: 1_000,
      confirm: () => Promise.resolve(true),
      say: () => {},
    });
    expect({ signal, outcome: result.outcome }).toEqual({ signal, outcome: "undone" });
    expect(tree(node.places.etc)).toEqual(before);
    await node.pull(image);
    await node.forget(image);
    if (signal === "SIGSTOP") cache.signal("SIGCONT");
  }
});
