// `npm run build`: a single executable for Linux per architecture, in dist/. `npm run build -- x64`
// builds only that one.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { spawnSync } from "node:child_process";
import { findBun, root } from "./bun.mjs";
import { ensureInstalled } from "./install.mjs";
import { sourceRevision } from "./revision.mjs";

/** Bun's build target and npm package for each architecture, as Node.js names it. */
const runtimes = {
  x64: { target: "bun-linux-x64", name: "@oven/bun-linux-x64" },
  arm64: { target: "bun-linux-arm64", name: "@oven/bun-linux-aarch64" },
};

/**
 * Builds the executable for an architecture (`x64` or `arm64`) into a folder and returns its path.
 *
 * @throws Error if the architecture is unknown or the build fails
 */
export function build(arch, folder = path.join(root, "dist")) {
  const runtime = runtimes[arch];
  if (runtime === undefined) {
    throw new Error(`${arch} is not supported: use one of ${Object.keys(runtimes).join(", ")}`);
  }
  const bun = findBun();
  const outfile = path.join(folder, `entrepot-linux-${arch}`);
  fs.mkdirSync(path.dirname(outfile), { recursive: true });
  const isHost = process.platform === "linux" && process.arch === arch;
  const base = isHost ? [] : [`--compile-executable-path=${runtimeOf(runtime.name)}`];
  // Files in the current directory must not change what the executable does.
  const isolation = ["--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig"];
  // Bytecode halves the startup time. Top-level await needs the format esm.
  const bytecode = ["--bytecode", "--format=esm", "--minify-syntax"];
  // Request headers of 64 KiB, as in bin/entrepot.
  const limits = ["--compile-exec-argv=--max-http-header-size=65536"];
  const { commit, date } = sourceRevision();
  // The folder of the build would be in it otherwise, as that of its modules.
  const defines = ['--define=__dirname="/"'];
  defines.push(`--define=ENTREPOT_REVISION=${JSON.stringify({ commit, date })}`);
  const flags = ["--compile", `--target=${runtime.target}`, ...base, ...isolation, ...limits];
  flags.push(...defines);
  // The others are what threads run (src/process/program-file.ts).
  const programs = ["main", "hit-worker", "download-worker"].map((name) =>
    path.join(root, `src/${name}.ts`),
  );
  const args = ["build", ...flags, ...bytecode, `--outfile=${outfile}`, ...programs];
  const result = spawnSync(bun, args, {
    cwd: root,
    stdio: ["ignore", 2, 2],
    env: { ...process.env, TZ: "UTC" },
  });
  if (result.status !== 0) throw new Error(`bun build for ${arch} failed`);
  return outfile;
}

/**
 * Writes the manual pages and the completion scripts into a folder, in the layout of /usr/local/share,
 * and returns its path.
 *
 * @throws Error if the program cannot print one of them
 */
export function buildShare(folder = path.join(root, "dist")) {
  const share = path.join(folder, "share");
  fs.rmSync(share, { recursive: true, force: true });
  const run = (...args) => {
    const command = ["--no-install", path.join(root, "src/main.ts"), ...args];
    const { status, stdout } = spawnSync(findBun(), command, { stdio: ["ignore", "pipe", 2] });
    if (status !== 0) throw new Error(`entrepot ${args.join(" ")} failed`);
    return stdout;
  };
  run("man", "--output", path.join(share, "man"));
  for (const [shell, place] of Object.entries(completionPlaces)) {
    const file = path.join(share, place);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, run("completion", shell));
  }
  return share;
}

/** Where each shell looks for the completion of a program. */
const completionPlaces = {
  bash: "bash-completion/completions/entrepot",
  zsh: "zsh/site-functions/_entrepot",
  fish: "fish/vendor_completions.d/entrepot.fish",
};

/** The path of Bun for another architecture, downloaded from npm; it does not run on this machine. */
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
    if (!archive) {
      throw new Error(
        `npm cannot fetch ${name}@${version}: build on a machine of that architecture`,
      );
    }
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
    for (const arch of wanted.length > 0 ? wanted : Object.keys(runtimes)) {
      const file = build(arch);
      const size = Math.round(fs.statSync(file).size / 1e6);
      console.log(`${path.relative(process.cwd(), file)}  ${size} MB`);
    }
    console.log(
      `${path.relative(process.cwd(), buildShare())}  manual pages, completion of shells`,
    );
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
