import { expect, test } from "bun:test";
import { mkdir, readFile } from "node:fs/promises";
import { contentOf } from "../images/content.ts";
import { localUpstream, startEntrepot } from "./entrepot.ts";
import { tempDir } from "../temp-dir.ts";
import { ChildProcess, startProcess } from "../processes.ts";
import { storedBlobs, unfinishedFills, verifyStore } from "./store-files.ts";
import { failureOf, until } from "../waiting.ts";

/** For tests that read /proc or need setpriv. */
const linuxTest = test.skipIf(process.platform !== "linux");

/**
 * A substitute for the cache: it logs its addresses in the same way, and serves its configuration
 * file.
 */
const STUB = `
const config = process.argv[process.argv.indexOf("--config") + 1];
const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response(Bun.file(config)) });
const address = "127.0.0.1:" + server.port;
console.log("not JSON");
console.log(JSON.stringify({ msg: "listening", listen: address, admin: address, ports: { "ghcr.io": address } }));
`;

linuxTest(
  "a started process exposes its addresses, configuration, log, memory and exit code",
  async () => {
    await using dir = await tempDir();
    await Bun.write(dir.file("stub.ts"), STUB);
    const config = { upstreams: { "reg.test": localUpstream("http://127.0.0.1:1") } };
    const program = [process.execPath, dir.file("stub.ts")];
    await using entrepot = await startEntrepot({ program, config });
    expect(await (await entrepot.get("/")).text()).toBe(
      "upstreams:\n  reg.test:\n    url: http://127.0.0.1:1\n    allowPrivate: true\n",
    );
    expect(entrepot.portUrl("ghcr.io")).toBe(entrepot.adminUrl);
    expect((await entrepot.logged("listening"))["listen"]).toBe(entrepot.address);
    expect(entrepot.peakMemory()).toBeGreaterThan(1_000_000);
    expect(entrepot.exitCode).toBeUndefined();
    expect(await entrepot.stop("SIGKILL")).toBe(137);
  },
);

test("a program that exits during startup is reported with its exit code and output", async () => {
  const command = ["/bin/sh", "-c", "echo no such luck >&2; exit 3"];
  const failure = await failureOf(startProcess({ name: "sh", command, ready: () => false }));
  expect(failure).toContain("sh ended with 3 while starting");
  expect(failure).toContain("no such luck");
});

test("a program that ignores SIGTERM is killed after the timeout", async () => {
  const command = ["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"];
  let ready = false;
  const child = await startProcess({
    name: "stubborn",
    command,
    onLine: () => (ready = true),
    ready: () => ready,
  });
  expect(await child.stop("SIGTERM", 100)).toBe(137);
});

linuxTest("child processes end with the test run, even if the run is killed", async () => {
  const source = `
    import { ChildProcess } from ${JSON.stringify(new URL("../processes.ts", import.meta.url).href)};
    const child = new ChildProcess({ name: "sleep", command: ["sleep", "1000"], ready: () => true });
    console.log(child.pid);
    setInterval(() => {}, 1000);`;
  let pid = 0;
  const testRun = await startProcess({
    name: "a test run",
    command: [process.execPath, "-e", source],
    onLine: (line) => (pid = Number(line)),
    ready: () => pid,
  });
  const commandLine = () => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  // Before, it is setpriv, which may not have asked yet to be ended with its parent.
  const isStarted = async () => (await commandLine()).startsWith("sleep\0");
  await until(isStarted, { what: "the child to run" });
  await testRun.stop("SIGKILL");
  // A process that has ended has an empty command line, even while it is a zombie.
  const isGone = async () => (await commandLine()) === "";
  await until(isGone, { what: "the child to end" });
});

test("verifyStore accepts a correct store and rejects wrong bytes and stray files", async () => {
  await using data = await tempDir();
  expect(await verifyStore(data.path)).toEqual([]);
  const { digest, bytes } = contentOf("true", "text/plain");
  const hex = digest.slice("sha256:".length);
  const blobFile = (name: string) => data.file("blobs", "sha256", name.slice(0, 2), name);
  await Bun.write(blobFile(hex), bytes);
  await mkdir(data.file("fills"));
  await Bun.write(data.file("fills", "x.part"), "tr");
  expect(await verifyStore(data.path)).toEqual([digest]);
  expect(await unfinishedFills(data.path)).toEqual(["x.part"]);
  const wrong = hex.replaceAll("a", "b");
  await Bun.write(blobFile(wrong), bytes);
  expect((await storedBlobs(data.path)).length).toBe(2);
  expect(await failureOf(verifyStore(data.path))).toContain(`holds ${digest}`);
  await Bun.write(data.file("blobs", "stray"), "");
  expect(await failureOf(verifyStore(data.path))).toContain("does not belong");
});

test("ended() resolves with the exit code once all output is read", async () => {
  await using child = new ChildProcess({
    name: "echo",
    command: ["/bin/sh", "-c", "echo one; echo two >&2; exit 7"],
    ready: () => true,
  });
  expect(await child.ended()).toBe(7);
  expect(child.output().split("\n").sort()).toEqual(["one", "two"]);
});
