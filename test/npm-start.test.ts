import { expect, test } from "bun:test";
import { chmod, cp, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { root } from "../scripts/fresh-bundle.mjs";
import { startProcess } from "./harness/processes.ts";
import { type TempDir, tempDir } from "./harness/temp-dir.ts";

const LOCK = join(root, "package-lock.json");

/** A checkout with the scripts of this one, and its program; what package-lock.json lists counts as installed. */
async function checkout(dir: TempDir): Promise<string> {
  // A space and other letters, as in many home directories.
  const folder = dir.file("my Ünïcode checkout");
  await mkdir(join(folder, "bin"), { recursive: true });
  for (const part of ["scripts", "package.json", "package-lock.json", "bunfig.toml"]) {
    await cp(join(root, part), join(folder, part), { recursive: true });
  }
  const modules = join(folder, "node_modules");
  await mkdir(modules);
  await symlink(join(root, "node_modules/bun"), join(modules, "bun"));
  const lock = new Bun.CryptoHasher("sha256").update(await readFile(LOCK)).digest("hex");
  await writeFile(join(modules, ".entrepot-lock"), `${lock} run`);
  const program = join(folder, "bin/entrepot");
  await writeFile(program, `#!/bin/sh\nexec '${join(root, "bin/entrepot")}' "$@"\n`);
  await chmod(program, 0o755);
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
  const folder = await checkout(dir);
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
