import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { SuitePackages } from "../../../scripts/components/debian-unpack.mjs";
import { type Containerd, startContainerd } from "../runtimes/containerd.ts";
import { type ChildProcess, mustRun, startProcess } from "../processes.ts";
import { type TempDir, tempDir } from "../temp-dir.ts";

export const SOCI: SuitePackages = { suite: "trixie", packages: ["soci-snapshotter"] };

/** Part of its state is in a folder below /var/lib that no flag changes. */
const WITH_OWN_STATE = `
mount -t tmpfs soci /var/lib
mkdir -p /var/lib/soci-snapshotter-grpc
`;
const UNSHARE = "unshare --mount --propagation private sh -ec".split(" ");

/** Pushes the SOCI index of an image beside it: `host:port/repository:tag` of a registry over plain HTTP. */
export async function pushSociIndex(tree: string, image: string): Promise<void> {
  await using containerd = await startContainerd({ line: "1.7" });
  await containerd.ctr("images", "pull", "--plain-http", image);
  const commands = `"$@" create --min-layer-size 0 "$IMAGE"
exec "$@" push --plain-http --quiet "$IMAGE"`;
  const soci = [join(tree, "usr/bin/soci"), "-a", containerd.pieces.socket, "-n", "k8s.io"];
  await mustRun([...UNSHARE, `${WITH_OWN_STATE}${commands}`, "sh", ...soci], {
    env: { IMAGE: image },
  });
}

/** containerd 1.7 with soci-snapshotter, which fetches the files of an image when they are read. */
export class LazyNode implements AsyncDisposable {
  readonly #dir: TempDir;
  readonly #soci: string;
  readonly #certificateFile: string;
  readonly #snapshotter: ChildProcess;
  readonly #containerd: Containerd;
  #views = 0;

  constructor(
    files: { dir: TempDir; soci: string; certificateFile: string },
    processes: { snapshotter: ChildProcess; containerd: Containerd },
  ) {
    this.#dir = files.dir;
    this.#soci = files.soci;
    this.#certificateFile = files.certificateFile;
    this.#snapshotter = processes.snapshotter;
    this.#containerd = processes.containerd;
  }

  /** Makes an image usable without fetching its layers. */
  async pull(image: string): Promise<void> {
    const { socket } = this.#containerd.pieces;
    const command = [this.#soci, "-a", socket, "-n", "k8s.io", "image", "rpull"];
    await mustRun([
      ...command,
      "--tlscacert",
      this.#certificateFile,
      "--snapshotter",
      "soci",
      image,
    ]);
  }

  /** A folder with the files of a pulled image. */
  async mount(image: string): Promise<string> {
    this.#views += 1;
    const folder = this.#dir.file(`view-${this.#views}`);
    await mkdir(folder);
    const process = `/proc/${this.#snapshotter.pid}`;
    const mount = ["images", "mount", "--snapshotter", "soci", image, folder];
    await mustRun([
      "nsenter",
      `--mount=${process}/ns/mnt`,
      ...this.#containerd.ctrCommand(...mount),
    ]);
    return `${process}/root${folder}`;
  }

  /** The last log lines of the snapshotter. */
  output(): string {
    return this.#snapshotter.output();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#containerd[Symbol.asyncDispose]();
    // The kernel unmounts everything of its namespace.
    await this.#snapshotter.stop("SIGKILL");
    await this.#dir[Symbol.asyncDispose]();
  }
}

/**
 * @param tree the folder into which `SOCI` is unpacked
 * @param certificateFile of the CA that is trusted: soci-snapshotter asks for its index over HTTPS alone
 */
export async function startLazyNode(tree: string, certificateFile: string): Promise<LazyNode> {
  const dir = await tempDir("soci");
  await using stack = new AsyncDisposableStack();
  stack.use(dir);
  const socket = dir.file("soci.sock");
  await writeFile(dir.file("soci.toml"), "");
  const flags = [
    "--root",
    dir.file("root"),
    "--address",
    socket,
    "--config",
    dir.file("soci.toml"),
  ];
  const program = join(tree, "usr/bin/soci-snapshotter-grpc");
  const snapshotter = stack.use(
    await startProcess({
      name: "soci-snapshotter",
      command: [...UNSHARE, `${WITH_OWN_STATE}exec "$@"`, "sh", program, ...flags],
      env: { SSL_CERT_FILE: certificateFile },
      ready: async () => {
        const connection = await Bun.connect({ unix: socket, socket: { data() {} } });
        connection.end();
        return true;
      },
    }),
  );
  const containerd = await startContainerd({
    line: "1.7",
    additions: `[proxy_plugins.soci]\n  type = "snapshot"\n  address = "${socket}"\n`,
  });
  stack.move();
  const files = { dir, soci: join(tree, "usr/bin/soci"), certificateFile };
  return new LazyNode(files, { snapshotter, containerd });
}
