import type { CredentialUse } from "../config/access/asked-credentials.ts";
import type { Finding } from "./findings.ts";
import type { FileState, FileView } from "./files/node-files.ts";
import type { Obstacle, Plan, Target, DesiredState } from "./plan.ts";

/** The runtimes that can be wired, as `--runtime` names them. */
export const RUNTIME_NAMES = ["containerd", "k3s", "rke2", "docker", "podman", "cri-o"] as const;
export type RuntimeName = (typeof RUNTIME_NAMES)[number];

export type RuntimeFaultKind =
  /** It does not respond, or its CRI does not, so that the kubelet cannot start pods. */
  | "dead"
  | "restart-failed"
  | "reload-failed"
  /** It does not use the configuration that is on disk. */
  | "not-in-force"
  | "pull-failed"
  /** It cannot pull any of these registries through a cache. */
  | "unsupported"
  /** The runtime or its version could not be determined. */
  | "unknown";

export class RuntimeFault extends Error {
  override readonly name = "RuntimeFault";

  constructor(
    readonly kind: RuntimeFaultKind,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Two views of the files of a node that was wired before. They are equal if it was not. */
export interface Views {
  /** The files before the wiring, with foreign modifications since then as they are on disk. */
  readonly now: FileView;
  /** The files before the wiring, without any later modification. */
  readonly before: FileView;
}

/** The files that a runtime needs to be wired. */
export interface Targets {
  /** In the order of writing. */
  readonly targets: readonly Target[];
  /** The directory of the files that name mirrors: the one that `config_path` will name. */
  readonly certsDir: string;
  /** Why a restart is due even if nothing is written: the runtime has not loaded its current files. */
  readonly stale?: string;
  readonly notes: readonly string[];
  readonly obstacles: readonly Obstacle[];
}

/** A property of the runtime, such as its version, for the output of `entrepot node check`. */
export interface Fact {
  readonly name: string;
  readonly value: string;
}

/** The properties of a runtime, and every finding about its wiring. */
export interface Inspection {
  readonly facts: readonly Fact[];
  readonly findings: readonly Finding[];
}

/** Which of some registries a runtime can pull through a cache. */
export interface Support {
  readonly supported: readonly string[];
  /** Why it cannot do so for the others. Undefined if there are none. */
  readonly reason: string | undefined;
}

/** An image on the node, as its runtime lists it. */
export interface NodeImage {
  readonly tags: readonly string[];
  /** `repository@sha256:…` */
  readonly digests: readonly string[];
}

/** The hosts that a runtime tries for the images of a registry, in this order, and then the server. */
export interface Route {
  /** The file that defines the route. Absent if there is none and only the registry is used. */
  readonly file?: string;
  readonly hosts: readonly string[];
  /** The URL that is tried last. */
  readonly server: string;
  /** Paths of PEM files with the CAs of the server, if it has its own. */
  readonly serverCa: readonly string[];
  /** Why the runtime does not use the file as it is written. */
  readonly problems: readonly string[];
}

/** Both forms of a file that a runtime makes by itself. */
export interface GeneratedFile {
  readonly wired: FileState;
  readonly withoutCache: FileState;
}

/**
 * A node's container runtime. Each one has a folder `node/<runtime>/` with the same set of files:
 *
 * - `runtime.ts`: this interface
 * - `inspect.ts`: what `entrepot node check` reports
 * - `plan.ts`: the files to write, and the obstacles
 * - `control.ts`: `RuntimeControl`
 * - `images.ts`: `RuntimeImages`
 * - `traits.ts`: what differs between versions, as named flags; no other file compares versions
 *
 * Folders and files beside these are the runtime's own: containerd has `config/`, `hosts/`, `cri/` and
 * `findings/`.
 */
export interface Runtime {
  readonly name: RuntimeName;
  /** The name in messages. */
  readonly title: string;
  /** How changed files of the kind `hosts` come into force without a restart, for the steps of a plan. */
  readonly withoutRestart: string;
  /** What it does where the cache asks for credentials. */
  readonly credentialUse: CredentialUse;
  /** Path of the main configuration file on the node. */
  readonly main: string;
  /** The same path if an option or the running process names it. Undefined if it is only assumed. */
  readonly knownMain: string | undefined;
  /** Which of these registries it can pull through a cache. @throws RuntimeFault of kind `unknown` */
  support(namespaces: readonly string[]): Promise<Support>;
  /** The files that have to be written. */
  targets(views: Views, desired: DesiredState): Promise<Targets>;
  inspect(view: FileView): Promise<Inspection>;
  /** The route for a registry, or for all registries without a directory of their own (`_default`). */
  route(view: FileView, namespace: string): Promise<Route>;
  /**
   * Files that it makes of the written ones when it starts, and reads at every pull: as they are, and
   * without the cache. Absent if it makes none.
   */
  generated?(
    view: FileView,
    plan: Pick<Plan, "wired" | "desired">,
  ): Promise<Readonly<Record<string, GeneratedFile>>>;
  /**
   * A file in which others have settings too, as they have edited it since it was wired, but without the
   * cache. Undefined for files that are the wiring's own, and for text that cannot be read. Absent if no
   * file is shared.
   */
  unwired?(path: string, current: FileState, wiring: Wiring): FileState | undefined;
  readonly control: RuntimeControl;
  readonly images: RuntimeImages;
}

/** What an apply put into a file. */
export interface Wiring {
  readonly cache: string;
  /** The file before that. */
  readonly original: FileState | undefined;
}

/** The running runtime. If only files are read and changed, only `proveFiles` is used. */
export interface RuntimeControl {
  /** Absent if no change needs a restart. */
  readonly service?: RuntimeService;
  /**
   * Makes the runtime take over changed files of the kind `hosts`, without a restart. Absent if it reads
   * them at every pull. Does nothing if the runtime is not running.
   *
   * @throws RuntimeFault of kind `reload-failed`
   */
  reload?(): Promise<void>;
  /**
   * Waits until it responds (containerd: its CRI), and returns its version.
   *
   * @throws RuntimeFault of kind `dead` if it does not respond within this many milliseconds.
   */
  waitUntilReady(withinMs: number): Promise<string>;
  /**
   * Has the runtime's program read the files of another root, without running it as a service. Returns
   * the program; undefined if there is none that runs on this machine. Absent if it has no such mode.
   *
   * @throws RuntimeFault of kind `not-in-force` if it would not use `certsDir`.
   */
  proveFiles?(certsDir: string): Promise<string | undefined>;
}

/** The runtime as a service, which a change of its configuration (kind `config`) restarts. */
export interface RuntimeService {
  /** The command that would restart it, and the obstacles because of which it must not be run. */
  restartMethod(): Promise<{ readonly way: string; readonly obstacles: readonly Obstacle[] }>;
  /** @throws RuntimeFault of kind `restart-failed` */
  restart(): Promise<void>;
  /** @throws RuntimeFault of kind `not-in-force` if the running runtime does not use what was written. */
  requireInForce(plan: Pick<Plan, "certsDir" | "wired" | "desired">): Promise<void>;
}

/** The runtime's images; where it has a CRI, those of the kubelet. */
export interface RuntimeImages {
  /** Whether it asks the registry about an image that is pulled by digest although it is stored. */
  readonly asksForStored: boolean;
  list(): Promise<readonly NodeImage[]>;
  /** @throws RuntimeFault of kind `pull-failed`, also after `timeoutMs` milliseconds. */
  pull(reference: string, timeoutMs: number): Promise<void>;
  remove(reference: string): Promise<void>;
}
