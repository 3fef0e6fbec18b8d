// `npm run image`: builds an OCI image in dist/ without a Docker daemon. It contains the
// executable, Debian's C library and CA certificates, and nothing else: no shell, no package
// manager. `npm run image -- x64` builds only that architecture.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { findBun, root } from "./bun.mjs";
import { ensureInstalled } from "./install.mjs";

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { output: { type: "string" }, base: { type: "string" } },
  });
  const { buildImage } = await import("./image/build-image.mjs");
  const folder = path.resolve(values.output ?? path.join(root, "dist"));
  const archs = positionals.length > 0 ? positionals : ["x64", "arm64"];
  const built = await buildImage([...new Set(archs)], folder, values.base);
  const shown = (file) => path.relative(process.cwd(), file);
  console.log(`${shown(built.layout)}  ${built.digest}`);
  for (const archive of built.archives) {
    console.log(`${shown(archive)}  ${Math.round(fs.statSync(archive).size / 1e6)} MB`);
  }
}

try {
  if (process.versions.bun) await main();
  else {
    ensureInstalled();
    const isolation = [`--config=${path.join(root, "bunfig.toml")}`, "--no-env-file"];
    const script = [...isolation, "--no-install", fileURLToPath(import.meta.url)];
    const args = [...script, ...process.argv.slice(2)];
    process.exitCode = spawnSync(findBun(), args, { stdio: "inherit" }).status ?? 1;
  }
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
