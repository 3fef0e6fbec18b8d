import { posix } from "node:path";
import { ContainerdRuntime } from "./containerd/runtime.ts";
import { ContainersRuntime } from "./containers/runtime.ts";
import { DockerRuntime } from "./docker/runtime.ts";
import type { FileView, NodeFiles } from "./files/node-files.ts";
import { RancherRuntime } from "./rancher/runtime.ts";
import type { Runtime, RuntimeName } from "./runtime.ts";
import { RUNTIME_NAMES } from "./runtime.ts";

/** How a runtime is reached. What only one of them has is ignored by the others. */
export interface RuntimeOptions {
  readonly files: NodeFiles;
  /** Works on the files of another root: no socket is opened and no program is run. */
  readonly filesOnly: boolean;
  readonly socket?: string;
  /** Path of containerd's main configuration file. */
  readonly config?: string;
  /** containerd's version, for a node where it cannot be detected. */
  readonly version?: string;
  /** A containerd program of this machine that shall read the files. */
  readonly binary?: string;
  /** A shell command that replaces `systemctl restart`. */
  readonly restartCommand?: string;
}

interface Kind {
  readonly open: (options: RuntimeOptions) => Runtime;
  readonly isPresent: (view: FileView) => boolean;
  /** The directory below that of the journals in which its own is. */
  readonly stateDirectory: string;
}

const KINDS: Readonly<Record<RuntimeName, Kind>> = {
  containerd: {
    open: (options) => new ContainerdRuntime(options),
    isPresent: (view) =>
      hasProgram(view, "containerd") || view.read("/etc/containerd/config.toml") !== undefined,
    stateDirectory: ".",
  },
  k3s: {
    open: (options) => new RancherRuntime("k3s", options),
    isPresent: (view) => isRancher(view, "k3s"),
    stateDirectory: "k3s",
  },
  rke2: {
    open: (options) => new RancherRuntime("rke2", options),
    isPresent: (view) => isRancher(view, "rke2"),
    stateDirectory: "rke2",
  },
  docker: {
    open: (options) => new DockerRuntime(options),
    isPresent: (view) => hasProgram(view, "dockerd") || isIn(view, "/run", "docker.sock"),
    stateDirectory: "docker",
  },
  podman: {
    open: (options) => new ContainersRuntime("podman", options),
    isPresent: (view) => hasProgram(view, "podman"),
    stateDirectory: "containers",
  },
  "cri-o": {
    open: (options) => new ContainersRuntime("cri-o", options),
    isPresent: (view) => hasProgram(view, "crio") || isIn(view, "/run/crio", "crio.sock"),
    stateDirectory: "containers",
  },
};

/** Whether a node has a runtime, by its programs and directories. */
export function isInstalled(view: FileView, name: RuntimeName): boolean {
  return KINDS[name].isPresent(view);
}

export function openRuntime(name: RuntimeName, options: RuntimeOptions): Runtime {
  return KINDS[name].open(options);
}

export function stateDirectoryOf(name: RuntimeName, parent: string): string {
  return posix.join(parent, KINDS[name].stateDirectory);
}

/**
 * The runtimes of a node, in the order in which they are wired. Left out is a containerd that nothing
 * asks for images by CRI, and Podman beside CRI-O, which reads the same files. Where nothing is found, it
 * is containerd, whose checks say what is missing.
 *
 * @param filesOnly whether the files are those of a node that does not run
 */
export function findRuntimes(view: FileView, filesOnly: boolean): RuntimeName[] {
  const found = RUNTIME_NAMES.filter((name) => KINDS[name].isPresent(view));
  const isLeftOut: Partial<Record<RuntimeName, boolean>> = {
    containerd: found.length > 1 && !isAskedByCri(view, found, filesOnly),
    podman: found.includes("cri-o"),
  };
  const wired = found.filter((name) => !isLeftOut[name]);
  return wired.length > 0 ? wired : ["containerd"];
}

/** Whether the system's containerd serves more than Docker, beside other runtimes that were found. */
function isAskedByCri(view: FileView, others: readonly RuntimeName[], filesOnly: boolean): boolean {
  const hasKubelet = view.isDirectory("/var/lib/kubelet") || view.isDirectory("/etc/kubernetes");
  const mayRun = filesOnly || isIn(view, "/run/containerd", "containerd.sock");
  if (mayRun) return hasKubelet || !others.includes("docker");
  // k3s and RKE2 have a kubelet too, which asks their own containerd.
  return hasKubelet && !others.includes("k3s") && !others.includes("rke2");
}

function isRancher(view: FileView, name: "k3s" | "rke2"): boolean {
  return (
    hasProgram(view, name) ||
    view.isDirectory(`/etc/rancher/${name}`) ||
    view.isDirectory(`/var/lib/rancher/${name}/agent`)
  );
}

const PROGRAM_DIRECTORIES = [
  "/usr/local/bin",
  "/usr/local/sbin",
  "/usr/bin",
  "/usr/sbin",
  "/opt/bin",
];

function hasProgram(view: FileView, name: string): boolean {
  return PROGRAM_DIRECTORIES.some((directory) => isIn(view, directory, name));
}

/** Whether a directory has this entry, whose content is not read. */
function isIn(view: FileView, directory: string, name: string): boolean {
  return view.list(directory)?.includes(name) ?? false;
}
