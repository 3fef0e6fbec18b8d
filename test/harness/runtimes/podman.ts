import { mkdir, writeFile } from "node:fs/promises";
import type { SuitePackages } from "../../../scripts/components/debian-unpack.mjs";
import { type ChildProcess, mustRun, startProcess } from "../processes.ts";
import { type TempDir, tempDir } from "../temp-dir.ts";

/**
 * podman 5 with the libraries of its suite. It starts none of conmon, crun and netavark for a pull,
 * but it wants them to be there.
 */
export const PODMAN_5: SuitePackages = {
  suite: "trixie",
  packages: [
    ..."podman conmon crun netavark libc6".split(" "),
    ..."libgpgme11t64 libassuan9 libgpg-error0 libseccomp2 libsqlite3-0".split(" "),
    // For libsubid.
    ..."libsubid5 libacl1 libattr1 libaudit1 libcap-ng0 libbsd0 libmd0 libbz2-1.0".split(" "),
    ..."libcrypt1 libpam0g libselinux1 libpcre2-8-0 libsemanage2 libsepol2".split(" "),
  ],
};

/**
 * Makes a root directory of podman's suite in a mount namespace of its own, which the kernel
 * unmounts with its last process. It is in memory, where overlayfs always has what it needs.
 */
const MAKE_ROOT = `
tree=$1 configuration=$2 root=$3
mount -t tmpfs podman "$root"
cd "$root"
mkdir -p usr etc/containers proc sys dev run tmp var/tmp
ln -s usr/lib lib
ln -s usr/lib64 lib64
mount --bind "$tree/usr" usr
mount --bind "$configuration" etc/containers
for name in proc sys dev; do mount --rbind "/$name" "$name"; done
echo ready
exec sleep infinity`;

/** podman 5 as root, with a storage of its own and with partial pulls enabled. */
export class Podman implements AsyncDisposable {
  readonly #dir: TempDir;
  readonly #namespace: ChildProcess;

  constructor(dir: TempDir, namespace: ChildProcess) {
    this.#dir = dir;
    this.#namespace = namespace;
  }

  /** Runs podman, and returns its stdout. */
  run(...args: string[]): Promise<string> {
    return this.#enter("chroot", this.#root, "/usr/bin/podman", ...args);
  }

  /** The digest of each file of a pulled image, by its path. */
  async files(image: string): Promise<Readonly<Record<string, string>>> {
    const folder = `${this.#root}${(await this.run("image", "mount", image)).trim()}`;
    const list = await this.#enter("sh", "-c", `cd ${folder} && find . -type f | xargs sha256sum`);
    const lines = list.trim().split("\n");
    return Object.fromEntries(
      lines.map((line) => [line.slice(68), `sha256:${line.slice(0, 64)}`] as const),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#namespace.stop("SIGKILL");
    await this.#dir[Symbol.asyncDispose]();
  }

  get #root(): string {
    return this.#dir.file("root");
  }

  #enter(...command: string[]): Promise<string> {
    const namespace = ["nsenter", `--mount=/proc/${this.#namespace.pid}/ns/mnt`];
    const environment = ["env", "-i", "HOME=/", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"];
    return mustRun([...namespace, ...environment, ...command]);
  }
}

/**
 * @param tree the folder into which `PODMAN_5` is unpacked
 * @param mirrors by the registry's name: `host:port/path` of a mirror over plain HTTP
 * @param locations by the registry's name: `host:port` where it is, if not at its name
 */
export async function startPodman(
  tree: string,
  mirrors: Readonly<Record<string, string>> = {},
  locations: Readonly<Record<string, string>> = {},
): Promise<Podman> {
  const dir = await tempDir("podman");
  const files = {
    "containers.conf": `[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n`,
    "storage.conf": `[storage]
driver = "overlay"
graphroot = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
[storage.options.pull_options]
enable_partial_images = "true"
`,
    "policy.json": JSON.stringify({ default: [{ type: "insecureAcceptAnything" }] }),
    "registries.conf": Object.entries(mirrors)
      .map(([name, mirrorAt]) => {
        const mirror = `[[registry.mirror]]\nlocation = "${mirrorAt}"\ninsecure = true\n`;
        const location = locations[name] ?? name;
        return `[[registry]]\nprefix = "${name}"\nlocation = "${location}"\n${mirror}`;
      })
      .join(""),
  };
  try {
    await mkdir(dir.file("root"));
    await mkdir(dir.file("etc"));
    for (const [name, text] of Object.entries(files)) await writeFile(dir.file("etc", name), text);
    const unshare = "unshare --mount --propagation private sh -ec".split(" ");
    const args = ["sh", tree, dir.file("etc"), dir.file("root")];
    const namespace = await startProcess({
      name: "podman's mount namespace",
      command: [...unshare, MAKE_ROOT, ...args],
      ready: (started) => started.output().includes("ready"),
    });
    return new Podman(dir, namespace);
  } catch (error) {
    await dir[Symbol.asyncDispose]();
    throw error;
  }
}
