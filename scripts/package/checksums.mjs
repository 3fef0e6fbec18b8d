import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";

/** Writes SHA256SUMS of files of one folder, in the form that `sha256sum --check` reads, and returns its path. */
export function writeChecksums(folder, files) {
  const lines = files
    .map((file) => path.relative(folder, file))
    .sort()
    .map((name) => `${sha256(path.join(folder, name))}  ${name}\n`);
  const file = path.join(folder, "SHA256SUMS");
  fs.writeFileSync(file, lines.join(""));
  return file;
}

export function sha256(file) {
  return createHash("sha256").update(fs.readFileSync(file)).digest("hex");
}
