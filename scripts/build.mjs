// `npm run build`: one executable for Linux on each processor, in dist/. `npm run build -- x64` only
// one of them.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { spawnSync } from "node:child_process";
import { findBun, root } from "./bun.mjs";
import { ensureInstalled } from "./install.mjs";

/** The runtime of each processor, by the package in which npm has it. */
const runtimes = {
  x64: { target: "bun-linux-x64", name: "@oven/bun-linux-x64" },
  arm64: { target: "bun-linux-arm64", name: "@oven/bun-linux-aarch64" },
};

/** Builds the executable for a processor into a folder and returns its path. */
export function build(processor, folder = path.join(root, "dist")) {
  const runtime = runtimes[processor];
  if (runtime === undefined) {
    throw new Error(`${processor} is none of ${Object.keys(runtimes).join(", ")}`);
  }
  const bun = findBun();
  const outfile = path.join(folder, `entrepot-linux-${processor}`);
  fs.mkdirSync(path.dirname(outfile), { recursive: true });
  const own = process.platform === "linux" && process.arch === processor;
  const base = own ? [] : [`--compile-executable-path=${runtimeOf(runtime.name)}`];
  // What lies in the folder in which it is started must not change what runs.
  const still = ["--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig"];
  // Compiled ahead: a start then takes half as long. Only modules may wait at their top.
  const ahead = ["--bytecode", "--format=esm", "--minify-syntax"];
  const flags = ["--compile", `--target=${runtime.target}`, ...base, ...still, ...ahead];
  const main = path.join(root, "src/main.ts");
  const result = spawnSync(bun, ["build", ...flags, `--outfile=${outfile}`, main], {
    cwd: root,
    stdio: ["ignore", 2, 2],
  });
  if (result.status !== 0) throw new Error(`bun build for ${processor} failed`);
  return outfile;
}

/** Bun for another processor, from npm: only unpacked, since it does not run here. */
function runtimeOf(name) {
  const { version } = JSON.parse(
    fs.readFileSync(path.join(root, "node_modules/bun/package.json"), "utf8"),
  );
  const folder = path.join(root, ".cache/bun", `${path.basename(name)}-${version}`);
  const binary = path.join(folder, "package/bin/bun");
  if (fs.existsSync(binary)) return binary;
  const work = `${folder}.tmp-${process.pid}`;
  fs.mkdirSync(work, { recursive: true });
  try {
    const packed = spawnSync("npm", ["pack", `${name}@${version}`, "--silent"], {
      cwd: work,
      stdio: ["ignore", "pipe", 2],
      encoding: "utf8",
    });
    const archive = packed.status === 0 ? packed.stdout.trim().split("\n").at(-1) : undefined;
    if (!archive) throw new Error(`npm has no ${name}@${version} here: build on that processor`);
    const unpacked = spawnSync("tar", ["-xzf", archive, "package/bin/bun"], { cwd: work });
    if (unpacked.status !== 0) throw new Error(`${archive} cannot be unpacked`);
    fs.rmSync(path.join(work, archive));
    fs.renameSync(work, folder);
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
  return binary;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    ensureInstalled();
    const wanted = process.argv.slice(2);
    for (const processor of wanted.length > 0 ? wanted : Object.keys(runtimes)) {
      const file = build(processor);
      const size = Math.round(fs.statSync(file).size / 1e6);
      console.log(`${path.relative(process.cwd(), file)}  ${size} MB`);
    }
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
