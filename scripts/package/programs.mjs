import { spawnSync } from "node:child_process";

/**
 * Runs a program, with its output on stderr.
 *
 * @throws Error if it fails, or is not installed
 */
export function mustRun(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, { stdio: ["ignore", 2, 2], ...options });
  if (error?.code === "ENOENT") throw new Error(`${command} is not installed${hint(command)}`);
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed`);
}

function hint(command) {
  const debian = { rpmbuild: "rpm", "dpkg-deb": "dpkg" }[command];
  return debian === undefined ? "" : `: on Debian, apt-get install ${debian}`;
}
