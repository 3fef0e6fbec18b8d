// Installs the components that the tests run against (containerd, registry, nginx, …) from Debian's
// packages. Plain Node without dependencies, because it runs before anything is installed.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { apt, capture, withLock } from "./apt.mjs";
import { ownSuite } from "./debian-sources.mjs";
import { ensureUnpacked } from "./debian-unpack.mjs";

/** The major version of PostgreSQL that each Debian suite has. */
const postgresVersions = { bookworm: 15, trixie: 17, forky: 18 };
const postgresVersion = postgresVersions[ownSuite()] ?? 17;

/** The folder with `initdb` and `postgres`. */
export const postgresBin = `/usr/lib/postgresql/${postgresVersion}/bin`;

/** The packages that the tests need, each with a file that shows that the package is usable. */
export const packages = {
  containerd: "/usr/bin/containerd",
  runc: "/usr/sbin/runc",
  "containernetworking-plugins": "/usr/lib/cni/ptp",
  "docker-registry": "/usr/bin/docker-registry",
  skopeo: "/usr/bin/skopeo",
  "busybox-static": "/bin/busybox",
  nginx: "/usr/sbin/nginx",
  tinyproxy: "/usr/bin/tinyproxy",
  [`postgresql-${postgresVersion}`]: `${postgresBin}/postgres`,
  openssl: "/usr/bin/openssl",
  unzip: "/usr/bin/unzip",
  systemd: "/usr/bin/systemd-analyze",
  strace: "/usr/bin/strace",
  "bash-completion": "/usr/share/bash-completion/bash_completion",
  zsh: "/usr/bin/zsh",
  fish: "/usr/bin/fish",
  mandoc: "/usr/bin/mandoc",
  "groff-base": "/usr/bin/groff",
  chromium: "/usr/bin/chromium",
};

/** The packages that bench/ needs in addition. */
export const benchPackages = { wrk: "/usr/bin/wrk", curl: "/usr/bin/curl" };

/** The Debian suite that has each containerd release line. */
const suites = { 1.6: "bookworm", 1.7: "trixie", 2.1: "forky" };

const policyFile = "/usr/sbin/policy-rc.d";
const policyMark = "# written by entrepot's scripts/components/debian.mjs while it installs";

const isInstalled = (name) => fs.existsSync(`/var/lib/dpkg/info/${name}.list`);

/**
 * The packages that are not installed. Reads dpkg's file lists instead of running dpkg-query,
 * because this runs before every test run and must be fast when nothing is missing.
 */
export function missingPackages(wanted = packages) {
  return Object.entries(wanted)
    .filter(([name, file]) => !isInstalled(name) || !fs.existsSync(file))
    .map(([name]) => name)
    .filter((name) => name !== "busybox-static" || !isInstalled("busybox"));
}

/** Why the components cannot run on this machine, whatever is installed; undefined if they can. */
export function unavailableReason() {
  if (process.env.ENTREPOT_REAL === "0") {
    return process.env.ENTREPOT_REAL_REASON ?? "ENTREPOT_REAL=0 is set";
  }
  if (process.platform !== "linux") return `they need Linux, but this is ${process.platform}`;
  if (!fs.existsSync("/etc/debian_version"))
    return "they are installed from Debian's packages, but this is not Debian";
  if (process.getuid?.() !== 0)
    return "they need root (containerd mounts file systems and creates namespaces)";
  // Root in an unprivileged container cannot mount.
  const caps =
    /^CapEff:\s*([0-9a-f]+)/m.exec(fs.readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  if ((BigInt(`0x${caps}`) & (1n << 21n)) === 0n) return "they need CAP_SYS_ADMIN";
  return undefined;
}

/**
 * Installs missing packages if possible, and returns whether tests with real components can run.
 * Sets ENTREPOT_REAL (and ENTREPOT_REAL_REASON if they cannot) for child processes. Never throws.
 */
export async function ensureDebianPackages(wanted = packages) {
  let reason = unavailableReason();
  let missing = reason === undefined ? missingPackages(wanted) : [];
  if (reason === undefined && missing.length > 0) {
    try {
      await withLock("install", async () => {
        missing = missingPackages(wanted);
        if (missing.length > 0) await install(missing);
      });
      missing = missingPackages(wanted);
      if (missing.length > 0) reason = `still missing after installation: ${missing.join(", ")}`;
    } catch (error) {
      const cause = error instanceof Error ? error.message : String(error);
      reason = `installing ${missing.join(", ")} failed: ${cause}`;
    }
  }
  if (reason === undefined) {
    process.env.ENTREPOT_REAL = "1";
    return { available: true, reason: undefined };
  }
  process.env.ENTREPOT_REAL = "0";
  process.env.ENTREPOT_REAL_REASON = reason;
  console.error(`\n!!! Everything that needs real components is SKIPPED: ${reason}\n`);
  return { available: false, reason };
}

async function install(names) {
  console.error(`Installing from Debian: ${names.join(" ")}`);
  const removePolicy = forbidServiceStarts();
  try {
    // --no-remove: Docker's containerd.io conflicts with Debian's containerd, and a test run must
    // never uninstall it.
    const flags = "-y --no-install-recommends --no-remove -o DPkg::Lock::Timeout=300";
    const keep = "-o Dpkg::Options::=--force-confold";
    const args = ["install", ...`${flags} ${keep}`.split(" "), ...names];
    // The existing package lists usually suffice; they are updated only if the installation fails.
    const first = await apt(args);
    if (first.code === 0) return;
    const update = await apt(["update", "-o", "DPkg::Lock::Timeout=300"]);
    if (update.code !== 0) throw new Error(`apt-get update: ${update.tail}`);
    const second = await apt(args);
    if (second.code !== 0) throw new Error(`apt-get install: ${second.tail}`);
  } finally {
    removePolicy();
  }
}

/**
 * Keeps containerd, nginx, docker-registry, PostgreSQL and tinyproxy from starting on installation: invoke-rc.d
 * and deb-systemd-invoke run policy-rc.d first, and its exit code 101 forbids the start. An
 * existing policy-rc.d is kept, because the machine's owner has set that policy. Returns a function
 * that removes it again.
 */
function forbidServiceStarts() {
  const isOurs = () =>
    fs.existsSync(policyFile) && fs.readFileSync(policyFile, "utf8").includes(policyMark);
  if (fs.existsSync(policyFile) && !isOurs()) return () => {};
  fs.writeFileSync(policyFile, `#!/bin/sh\n${policyMark}\nexit 101\n`, { mode: 0o755 });
  const remove = () => {
    if (isOurs()) fs.rmSync(policyFile);
  };
  // Ctrl-C must not leave the policy behind, or no service would start on this machine any more.
  const interrupted = () => {
    remove();
    process.exit(130);
  };
  process.once("SIGINT", interrupted);
  process.once("SIGTERM", interrupted);
  return () => {
    process.off("SIGINT", interrupted);
    process.off("SIGTERM", interrupted);
    remove();
  };
}

/**
 * The folder with `containerd` and its shims of a release line: the installed one if it is of that
 * line, otherwise the package of the Debian suite that has it, unpacked into `.cache/debian`.
 *
 * @throws Error if the package cannot be downloaded or does not run
 */
export async function ensureContainerd(line) {
  const suite = suites[line];
  if (suite === undefined) throw new Error(`no Debian suite is known for containerd ${line}`);
  const system = path.dirname(packages.containerd);
  if (fs.existsSync(packages.containerd)) {
    const version = await containerdVersion(system);
    if (version.startsWith(`${line}.`)) return { bin: system, version };
  }
  const tree = await ensureUnpacked(suite, { packages: ["containerd"], suite });
  const bin = path.join(tree, "usr/bin");
  const version = await containerdVersion(bin);
  if (!version.startsWith(`${line}.`)) {
    console.error(
      `Debian ${suite} now has containerd ${version}, which is used instead of ${line}.`,
    );
  }
  return { bin, version };
}

/**
 * The path of a statically linked busybox, from which the tests build images. The packages busybox
 * and busybox-static conflict, so busybox-static is unpacked into `.cache/debian` if busybox is
 * installed.
 */
export async function ensureBusybox() {
  if (isInstalled("busybox-static")) return packages["busybox-static"];
  const tree = await ensureUnpacked("busybox-static", { packages: ["busybox-static"] });
  const file = path.join(tree, packages["busybox-static"]);
  return fs.existsSync(file) ? file : path.join(tree, "usr", packages["busybox-static"]);
}

async function containerdVersion(bin) {
  const { code, tail, out } = await capture(path.join(bin, "containerd"), ["--version"]);
  const version = /\s(\d+\.\d+\.\d+)/.exec(out)?.[1];
  if (code !== 0 || version === undefined) throw new Error(`${bin}/containerd --version: ${tail}`);
  return version;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { available } = await ensureDebianPackages();
  if (available) console.log("Real components are available.");
}
