// What the program is made of, as npm tells it from package-lock.json.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { root } from "../bun.mjs";

const bunPackages = { amd64: "@oven/bun-linux-x64", arm64: "@oven/bun-linux-aarch64" };

/** The SBOM of the production dependencies in one of npm's formats: `spdx` or `cyclonedx`. */
export function npmSbom(format) {
  const args = ["sbom", "--sbom-format", format, "--package-lock-only", "--omit=dev"];
  const { status, stdout, stderr } = spawnSync("npm", args, {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  if (status === 0) return JSON.parse(stdout);
  throw new Error(`npm sbom failed; it needs npm 10 or newer: ${stderr.trim()}`);
}

/**
 * Whether a package is that of Bun for some platform, or what installs it. npm lists them all; the program has
 * the one of its platform, which `bunRuntime` describes.
 */
export function isRuntime(name) {
  return name === "bun" || name.startsWith("@oven/bun-");
}

/** Bun as it is in the executable of an architecture. */
export function bunRuntime(architecture) {
  const name = bunPackages[architecture];
  const lock = JSON.parse(fs.readFileSync(path.join(root, "package-lock.json"), "utf8"));
  const { version, integrity } = lock.packages[`node_modules/${name}`];
  return {
    name,
    version,
    sha512: Buffer.from(integrity.replace("sha512-", ""), "base64").toString("hex"),
    purl: `pkg:npm/${name.replace("@", "%40")}@${version}`,
    license: "MIT",
    comment: "It contains JavaScriptCore, which is under LGPL-2.1-or-later, and other libraries.",
  };
}
