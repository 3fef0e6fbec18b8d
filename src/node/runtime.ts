import type { Finding } from "./findings.ts";
import type { FileView } from "./files/node-files.ts";
import type { Obstacle, Target, DesiredState } from "./plan.ts";

export type RuntimeFaultKind =
  /** Its API does not answer: the kubelet is blind here. */
  | "dead"
  | "restart-failed"
  /** It does not go by the configuration that is on disk. */
  | "not-in-force"
  | "pull-failed"
  /** Nothing tells which runtime or version this is. */
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

/** Two ways to look at a node that was wired before. They are the same where it was not. */
export interface Views {
  /** As it was before this tool, save for what somebody has changed since. */
  readonly now: FileView;
  /** As it was before this tool, whatever has happened since. */
  readonly before: FileView;
}

/** What a wired node consists of for a runtime. */
export interface Targets {
  /** In the order of writing. */
  readonly targets: readonly Target[];
  /** The directory of mirrors that will be in force. */
  readonly certsDir: string;
  /** Why the runtime has to be restarted whatever is written: it has not read its files as they are. */
  readonly stale?: string;
  readonly notes: readonly string[];
  readonly obstacles: readonly Obstacle[];
}

export interface Fact {
  readonly name: string;
  readonly value: string;
}

/** What a runtime is, and everything that is wrong with how it is wired. */
export interface Inspection {
  readonly facts: readonly Fact[];
  readonly findings: readonly Finding[];
}

export interface NodeImage {
  readonly tags: readonly string[];
  /** `repository@sha256:…` */
  readonly digests: readonly string[];
}

/** Where a runtime asks for the images of a registry, in its order. */
export interface Route {
  /** The file that says so; absent where nothing does and the registry itself is asked. */
  readonly file?: string;
  readonly hosts: readonly string[];
  /** What is asked last. */
  readonly server: string;
  /** PEM files of the server's authorities, where it has its own. */
  readonly serverCa: readonly string[];
  /** Why the file does not say what it seems to say. */
  readonly problems: readonly string[];
}

/** A node's container runtime, as far as its files tell. */
export interface Runtime {
  /** The main configuration file, as the node has it. */
  readonly main: string;
  /** The same, where an option or the running process tells it; undefined where it is assumed. */
  readonly knownMain: string | undefined;
  /** What has to be written. */
  targets(views: Views, desired: DesiredState): Promise<Targets>;
  inspect(view: FileView): Promise<Inspection>;
  /** Where it goes for a registry, or for any that nothing is said about (`_default`). */
  route(view: FileView, namespace: string): Promise<Route>;
  readonly control: RuntimeControl;
  readonly images: RuntimeImages;
}

/** The runtime as a service. Not asked where only files are looked at. */
export interface RuntimeControl {
  /** How it would be restarted, in words; the obstacles are why it cannot or must not be. */
  restartWay(): { readonly way: string; readonly obstacles: readonly Obstacle[] };
  /** @throws RuntimeFault of kind `restart-failed` */
  restart(): Promise<void>;
  /** Its version, once its API answers. @throws RuntimeFault of kind `dead` */
  alive(withinMs: number): Promise<string>;
  /** @throws RuntimeFault of kind `not-in-force` where it does not go by `certsDir`. */
  requireInForce(certsDir: string): Promise<void>;
}

/** Images as the kubelet has them. */
export interface RuntimeImages {
  list(): Promise<readonly NodeImage[]>;
  /** @throws RuntimeFault of kind `pull-failed` */
  pull(reference: string, timeoutMs: number): Promise<void>;
  remove(reference: string): Promise<void>;
}
