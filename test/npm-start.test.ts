import { expect, test } from "bun:test";
import { cp, mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { root } from "../scripts/fresh-bundle.mjs";
import { mustRun, run, startProcess } from "./harness/processes.ts";
import { realTest } from "./harness/real-components.ts";
import { type TempDir, tempDir } from "./harness/temp-dir.ts";

const PROGRAM = join(root, "bin/entrepot");

/** A checkout with the scripts of this one, in which everything is installed; its program is a stand-in. */
async function checkout(dir: TempDir, program: string): Promise<string> {
  // A space and other letters, as in many home directories.
  const folder = dir.file("my Ünïcode checkout");
  const modules = join(folder, "node_modules");
  await mkdir(join(folder, "bin"), { recursive: true });
  await mkdir(modules);
  for (const part of ["scripts", "package.json", "package-lock.json", "bunfig.toml", ".npmrc"]) {
    await cp(join(root, part), join(folder, part), { recursive: true });
  }
  await symlink(join(root, "node_modules/bun"), join(modules, "bun"));
  // npm's record of what it has installed.
  await cp(join(root, "package-lock.json"), join(modules, ".package-lock.json"));
  await writeFile(join(folder, "bin/entrepot"), `#!/bin/sh\n${program}\n`, { mode: 0o755 });
  return folder;
}

/** The data directory that a cache reports which `npm start` runs. */
async function dataOf(folder: string, args: readonly string[], env: Record<string, string>) {
  let data: unknown;
  const ports = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
  const start = [join(folder, "scripts/start.mjs"), ...ports, ...args];
  await using _ = await startProcess({
    name: "npm start",
    command: ["node", ...start],
    // As npm sets them: it runs a script in the checkout, whatever folder it was called in.
    env: { npm_lifecycle_event: "start", INIT_CWD: join(folder, ".."), ...env },
    cwd: folder,
    onLine: (line) => {
      if (line.startsWith("{") && line.includes('"listening"')) data = JSON.parse(line).data;
    },
    ready: () => data,
  });
  return data;
}

test("npm start keeps its data in the checkout, unless a flag, a variable or the file names a folder", async () => {
  await using dir = await tempDir("npm-start");
  const folder = await checkout(dir, `exec '${PROGRAM}' "$@"`);
  const [plain, folderIn] = [dir.file("plain.yaml"), dir.file("folder.yaml")];
  await writeFile(plain, "upstreams: { reg.test: }\n");
  await writeFile(folderIn, "upstreams: { reg.test: }\nstorage: { dir: from-file }\n");
  const [inCheckout, inFile] = [join(folder, "data"), dir.file("from-file")];

  expect(await dataOf(folder, ["--config", "plain.yaml"], {})).toBe(inCheckout);
  expect(await dataOf(folder, ["--config", folderIn], {})).toBe(inFile);
  const env = { ENTREPOT_DATA: dir.file("from-variable") };
  expect(await dataOf(folder, ["--config", folderIn], env)).toBe(env.ENTREPOT_DATA);
  expect(await dataOf(folder, ["--data=from-flag"], env)).toBe(dir.file("from-flag"));
});

test("npm start says what ended the program, if that was a missing instruction", async () => {
  await using dir = await tempDir("npm-start");
  const folder = await checkout(dir, "kill -ILL $$");
  const { code, stderr } = await run(["node", join(folder, "scripts/start.mjs")]);
  expect(code).toBe(132);
  expect(stderr).toContain("ended by an illegal instruction: this processor");
});

realTest(
  "a processor that Bun cannot run on is named, with what to set in a virtual machine",
  async () => {
    await using dir = await tempDir("processor");
    const own = await readFile("/proc/cpuinfo", "utf8");
    // As a machine of type kvm64 shows it.
    const flags =
      "flags\t\t: fpu vme de pse tsc msr sse sse2 syscall nx lm rep_good nopl pni cx16 hypervisor";
    await writeFile(dir.file("cpuinfo"), own.replaceAll(/^(?:flags|Features)\t.*$/gm, flags));
    const mount = 'mount --bind "$0" /proc/cpuinfo && exec "$@"';
    const on = ["unshare", "--mount", "sh", "-c", mount, dir.file("cpuinfo")];
    const { code, stderr } = await run([...on, PROGRAM, "--version"]);
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(
        /lacks the instructions ssse3 sse4_1 sse4_2 popcnt, .*\n.*qm set VMID --cpu host/,
      ),
    ]);
    const folder = await checkout(dir, "exit 9");
    await rm(join(folder, "node_modules/.package-lock.json"));
    const install = await run([...on, "node", join(folder, "scripts/start.mjs")]);
    expect(install.code).toBe(1);
    expect(install.stderr).toContain("Nothing was installed.");
  },
);

test("what a start needs and does not find is named: Node.js, npm, the network", async () => {
  await using dir = await tempDir("npm-start");
  const folder = await checkout(dir, "exit 9");
  const start = join(folder, "scripts/start.mjs");
  const preload = dir.file("old.cjs");
  const old = 'Object.defineProperty(process, "versions", { value: { node: "12.22.9" } })';
  await writeFile(preload, old);
  const check = join(folder, "scripts/node-version.cjs");
  const onOld = await run(["node", "-r", preload, "-r", check, start]);
  expect([onOld.code, onOld.stderr]).toEqual([
    1,
    expect.stringMatching(
      /^entrepot: Node\.js 18 or newer is needed, and \S+ is 12\.22\.9: install one/,
    ),
  ]);

  await rm(join(folder, "node_modules/.package-lock.json"));
  const node = (await mustRun(["node", "-p", "process.execPath"])).trim();
  const environment = { npm_execpath: "" };
  const bare = await run([node, start], { env: { ...environment, PATH: dir.path } });
  expect([bare.code, bare.stderr]).toEqual([1, expect.stringContaining("npm is not in PATH")]);
  const settings = { npm_config_registry: "http://127.0.0.1:1", npm_config_fetch_retries: "0" };
  const cache = { npm_config_cache: dir.file("cache") };
  const alone = await run([node, start], { env: { ...environment, ...settings, ...cache } });
  expect([alone.code, alone.stderr]).toEqual([
    1,
    expect.stringMatching(
      /ECONNREFUSED.*\nnpm install failed in .*my Ünïcode checkout\/ \(exit code 1\); its message is above\. It needs a network/s,
    ),
  ]);
}, 20_000);

test("npm install leaves package-lock.json as it is, and no host is in it", async () => {
  await using dir = await tempDir("npm-start");
  const folder = await checkout(dir, "exit 9");
  const file = join(folder, "package-lock.json");
  const lock = await readFile(file, "utf8");
  expect(lock).not.toContain('"resolved"');
  // Something that each version of npm would write again.
  const changed = lock.replace('"version": "0.1.0"', '"version": "0.0.9"');
  expect(changed).not.toBe(lock);
  await writeFile(file, changed);
  const flags = ["--package-lock-only", "--offline", "--ignore-scripts"];
  await mustRun(["npm", "install", ...flags], { cwd: folder });
  expect(await readFile(file, "utf8")).toBe(changed);
}, 20_000);
