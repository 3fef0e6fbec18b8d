import { spawnSync } from "node:child_process";
import { posix } from "node:path";
import type { FileView } from "./files/node-files.ts";
import { readText } from "./files/node-files.ts";

/** A systemd unit as its files have it. */
export interface Unit {
  readonly name: string;
  /** The file that it comes from. */
  readonly file: string;
  /** What a stop and a restart kill; systemd's default is control-group. */
  readonly killMode: string;
  /** The file and line that says so; absent where it is the default. */
  readonly killModeAt?: { readonly file: string; readonly line: number };
  readonly command: string;
}

/** In the order in which systemd looks; the first one that has the unit wins. */
const FOLDERS = [
  "/etc/systemd/system",
  "/run/systemd/system",
  "/usr/local/lib/systemd/system",
  "/usr/lib/systemd/system",
  "/lib/systemd/system",
];

/** Reads a unit with its drop-ins from the files, which works on an image as well. */
export function readUnit(view: FileView, name: string): Unit | undefined {
  const file = FOLDERS.map((folder) => posix.join(folder, name)).find(
    (path) => view.read(path) !== undefined,
  );
  if (file === undefined) return undefined;
  const dropIns = new Map<string, string>();
  for (const folder of FOLDERS.toReversed()) {
    for (const entry of view.list(posix.join(folder, `${name}.d`)) ?? []) {
      if (entry.endsWith(".conf")) dropIns.set(entry, posix.join(folder, `${name}.d`, entry));
    }
  }
  const files = [
    file,
    ...[...dropIns].sort(([a], [b]) => a.localeCompare(b)).map(([, path]) => path),
  ];
  let killMode = "control-group";
  let killModeAt: Unit["killModeAt"];
  let command = "";
  for (const path of files) {
    for (const [index, line] of (readText(view, path) ?? "").split("\n").entries()) {
      const [, key, value = ""] = /^\s*(KillMode|ExecStart)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
      if (key === "ExecStart") command = value;
      if (key !== "KillMode") continue;
      killMode = value === "" ? "control-group" : value;
      killModeAt = { file: path, line: index + 1 };
    }
  }
  return { name, file, killMode, command, ...(killModeAt ? { killModeAt } : {}) };
}

/** Whether a restart of the unit leaves the containers' shims alone. */
export function sparesContainers(unit: Pick<Unit, "killMode">): boolean {
  return unit.killMode === "process" || unit.killMode === "none";
}

/**
 * The KillMode by which a running systemd goes. It is that of the last daemon-reload, whatever the
 * files say by now. Undefined where systemd does not tell.
 */
export function loadedKillMode(name: string): string | undefined {
  const words = ["show", "--property=KillMode", "--value", name];
  const { status, stdout } = spawnSync("systemctl", words, { encoding: "utf8", timeout: 10_000 });
  const killMode = status === 0 ? stdout.trim() : "";
  return killMode === "" ? undefined : killMode;
}

/** Whether systemd is what runs services on this machine (sd_booted(3)). */
export function isBooted(view: FileView): boolean {
  return view.isDirectory("/run/systemd/system");
}
