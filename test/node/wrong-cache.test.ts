import { expect, setDefaultTimeout, test } from "bun:test";
import { requireRoot } from "../../src/commands/node/node-options.ts";
import { freePort } from "../harness/free-port.ts";
import { offlineNode } from "./offline-node.ts";
import { entrepotNode } from "./program.ts";
import { tree } from "./tree.ts";

setDefaultTimeout(60_000);

const closed = `http://127.0.0.1:${freePort()}`;

test.each([
  [closed, `${closed} refuses the connection: is the cache running there`],
  ["http://nowhere.invalid:5000", "this machine finds no address for nowhere.invalid"],
])("an apply to %s says what is wrong with the address", async (cache, message) => {
  await using dir = await offlineNode();
  const before = tree(dir.path);
  const { code, text } = await entrepotNode(["apply", "--cache", cache, "--root", dir.path]);
  expect(text).toContain(message);
  expect(code).toBe(1);
  expect(tree(dir.path)).toEqual(before);
});

test("a cache that does not respond is asked once, and waited for only with --wait", async () => {
  let connections = 0;
  const silent = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { open: () => void (connections += 1), data: () => {} },
  });
  using _ = { [Symbol.dispose]: () => silent.stop(true) };
  const cache = `http://127.0.0.1:${silent.port}`;
  const apply = ["apply", "--runtime", "containerd", "--cache", cache];
  const once = await entrepotNode(apply);
  expect(once.text).toContain("did not respond within 2.5 s: is the address right");
  expect(once.text).toContain("--wait 30s waits for a cache that is starting");
  expect(once.code).toBe(1);
  expect(connections).toBe(1);

  const waited = await entrepotNode([...apply, "--wait", "1ms"]);
  expect(waited.code).toBe(1);
  expect(waited.text).not.toContain("--wait 30s");
});

test("who is not root is told so before anything else", () => {
  const message = "run it as root (sudo entrepot node apply …)";
  expect(() => requireRoot({}, "apply", 1000)).toThrow(message);
  expect(() => requireRoot({ root: "/mnt/image" }, "apply", 1000)).not.toThrow();
  expect(() => requireRoot({}, "apply", 0)).not.toThrow();
});
