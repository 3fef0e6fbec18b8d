import { spawnSync } from "node:child_process";
import { posix } from "node:path";
import type { FileView } from "../files/node-files.ts";
import { readText } from "../files/node-files.ts";

/** A systemd unit as its files define it. */
export interface Unit {
  readonly name: string;
  /** Path of the unit file, without its drop-ins. */
  readonly file: string;
  /** `KillMode=` of systemd.kill(5). systemd's default is control-group. */
  readonly killMode: string;
  /** The file and line that sets it. Absent if no file does. */
  readonly killModeAt?: { readonly file: string; readonly line: number };
  /** `ExecStart=` of systemd.service(5). */
  readonly command: string;
}

/** systemd's unit load path, in order of precedence. The first directory that has the unit wins. */
const UNIT_DIRECTORIES = [
  "/etc/systemd/system",
  "/run/systemd/system",
  "/usr/local/lib/systemd/system",
  "/usr/lib/systemd/system",
  "/lib/systemd/system",
];

/** Reads a unit and its drop-ins from the files, without systemd: this also works on an image. */
export function readUnit(view: FileView, name: string): Unit | undefined {
  const file = UNIT_DIRECTORIES.map((directory) => posix.join(directory, name)).find(
    (path) => view.read(path) !== undefined,
  );
  if (file === undefined) return undefined;
  const dropIns = new Map<string, string>();
  for (const directory of UNIT_DIRECTORIES.toReversed()) {
    for (const entry of view.list(posix.join(directory, `${name}.d`)) ?? []) {
      if (entry.endsWith(".conf")) dropIns.set(entry, posix.join(directory, `${name}.d`, entry));
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

/** Whether a restart of the unit does not kill the containers' shims. */
export function sparesContainers(unit: Pick<Unit, "killMode">): boolean {
  return unit.killMode === "process" || unit.killMode === "none";
}

/**
 * The KillMode that the running systemd uses, which is the one of the last daemon-reload. Undefined if
 * systemctl fails.
 */
export function loadedKillMode(name: string): string | undefined {
  const args = ["show", "--property=KillMode", "--value", name];
  const { status, stdout } = spawnSync("systemctl", args, { encoding: "utf8", timeout: 10_000 });
  const killMode = status === 0 ? stdout.trim() : "";
  return killMode === "" ? undefined : killMode;
}

/** Whether the machine was booted with systemd (sd_booted(3)). */
export function isBooted(view: FileView): boolean {
  return view.isDirectory("/run/systemd/system");
}
