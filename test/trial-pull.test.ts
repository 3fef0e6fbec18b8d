import { expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import { startDockerRegistry } from "./harness/registries/docker-registry.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { multiPlatformImage } from "./harness/images/images.ts";
import { run } from "./harness/processes.ts";
import { push } from "./harness/registries/push.ts";
import { realTest } from "./harness/real-components.ts";

const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));
const pull = (...args: readonly string[]) => run([PROGRAM, "pull", ...args]);

realTest("entrepot pull fetches the image of the platform through a cache", async () => {
  await using registry = await startDockerRegistry();
  const image = await multiPlatformImage({ text: "tried" });
  await push(image, { url: registry.url, repository: "org/hello", tag: "1" });
  await using cache = await startEntrepot({
    config: { upstreams: { "reg.test": localUpstream(registry.url) } },
  });
  const blobs = image.children[0]?.blobs ?? [];
  const bytes = blobs.reduce((sum, { size }) => sum + size, 0);
  const from = ["--cache", cache.url, "--platform", "linux/amd64"];
  const said = `reg.test/org/hello:1: ${image.manifest.digest}, ${bytes} bytes in ${blobs.length} blobs, each verified\n`;
  expect(await pull("reg.test/org/hello:1", ...from)).toMatchObject({ code: 0, stdout: said });

  await registry.stop();
  expect(await pull("reg.test/org/hello:1", ...from)).toMatchObject({ code: 0, stdout: said });

  const missing = await pull("reg.test/org/other:1", ...from);
  expect([missing.code, missing.stderr]).toEqual([
    1,
    expect.stringMatching(
      /^entrepot: reg\.test\/org\/other:1: the cache responds with 50\d for the manifest 1: /,
    ),
  ]);
  const foreign = await pull(
    "reg.test/org/hello:1",
    "--cache",
    cache.url,
    "--platform",
    "linux/s390x",
  );
  expect([foreign.code, foreign.stderr]).toEqual([
    1,
    expect.stringContaining("the image has no linux/s390x, only linux/amd64"),
  ]);
});

test("entrepot pull refuses bytes that do not have their digest", async () => {
  const digest = `sha256:${"0".repeat(64)}`;
  using server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () => new Response("{}"),
  });
  const wrong = await pull(`reg.test/app@${digest}`, "--cache", server.url.origin);
  expect([wrong.code, wrong.stderr]).toEqual([
    1,
    expect.stringContaining(`the manifest ${digest} has the digest sha256:44136fa3`),
  ]);
});

test.each([
  [
    ["reg.test/app:1", "--cache", "cache:5000"],
    "--cache cache:5000 has no scheme: write http://cache:5000",
  ],
  [["app@sha256:1", "--cache", "http://127.0.0.1:1"], "app@sha256:1 is not a valid image"],
  [
    ["app", "--cache", "http://127.0.0.1:1", "--wait", "soon"],
    "--wait soon is not a valid duration",
  ],
  [
    ["app", "--cache", "http://127.0.0.1:1", "--platform", "x"],
    "--platform x is not a valid platform",
  ],
] as const)("entrepot pull %p is a wrong command line", async (args, message) => {
  const { code, stderr } = await pull(...args);
  expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
});

test("entrepot pull says that nothing listens, after the time that it may try", async () => {
  const { code, stderr } = await pull("app", "--cache", "http://127.0.0.1:1", "--wait", "1s");
  expect([code, stderr]).toEqual([
    1,
    expect.stringContaining("http://127.0.0.1:1 cannot be reached"),
  ]);
});
