// Runs apt-get for the scripts that install or unpack Debian's packages. Plain Node without
// dependencies, because it runs before anything is installed.
import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** Where packages are unpacked. */
export const cacheDir = fileURLToPath(new URL("../../.cache/debian/", import.meta.url));

export function apt(args, options = {}) {
  return capture("apt-get", args, {
    ...options,
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", NEEDRESTART_SUSPEND: "1" },
  });
}

/** Runs a program to completion and captures its output, which is shown only if it fails. */
export function capture(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
    let out = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (out = (out + text).slice(-20_000)));
    }
    const end = (code, text) => resolve({ code, out: text, tail: text.trim().slice(-1500) });
    child.on("error", (error) => end(127, String(error)));
    child.on("close", (code) => end(code ?? 1, out));
  });
}

/** Runs `work` in one process at a time; a lock whose process has died is removed. */
export async function withLock(name, work) {
  fs.mkdirSync(cacheDir, { recursive: true });
  const file = path.join(cacheDir, `${name}.lock`);
  for (;;) {
    try {
      fs.writeFileSync(file, String(process.pid), { flag: "wx" });
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
      if (isStale(file)) fs.rmSync(file, { force: true });
      else await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
  try {
    return await work();
  } finally {
    fs.rmSync(file, { force: true });
  }
}

function isStale(file) {
  try {
    const pid = Number(fs.readFileSync(file, "utf8"));
    // The file is empty for a moment between creation and writing; it is not stale then.
    return pid > 0 && !fs.existsSync(`/proc/${pid}`);
  } catch {
    return false;
  }
}
