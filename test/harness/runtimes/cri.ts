import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import * as grpc from "@grpc/grpc-js";
import * as protoLoader from "@grpc/proto-loader";
import type { TempDir } from "../temp-dir.ts";
import { until } from "../waiting.ts";

/** Every call in test/proto/cri.proto: its request and its response. */
interface Calls {
  Version: [{ version: string }, { runtime_name: string; runtime_version: string }];
  Status: [{ verbose: boolean }, { status: { conditions: Condition[] } }];
  RunPodSandbox: [{ config: object }, { pod_sandbox_id: string }];
  StopPodSandbox: [{ pod_sandbox_id: string }, object];
  RemovePodSandbox: [{ pod_sandbox_id: string }, object];
  ListPodSandbox: [object, { items: { id: string }[] }];
  CreateContainer: [object, { container_id: string }];
  StartContainer: [{ container_id: string }, object];
  StopContainer: [{ container_id: string; timeout: number }, object];
  ExecSync: [
    { container_id: string; cmd: readonly string[]; timeout: number },
    { stdout: Uint8Array; stderr: Uint8Array; exit_code: number },
  ];
  PodSandboxStatus: [{ pod_sandbox_id: string }, { status: { network: { ip: string } | null } }];
  ContainerStatus: [{ container_id: string }, { status: ContainerStatus }];
  ListImages: [object, { images: CriImage[] }];
  ImageStatus: [{ image: { image: string } }, { image: CriImage | null }];
  PullImage: [{ image: { image: string }; auth?: PullAuth }, { image_ref: string }];
  RemoveImage: [{ image: { image: string } }, object];
}

interface Condition {
  readonly type: string;
  readonly status: boolean;
  readonly message: string;
}

interface ContainerStatus {
  readonly state: string;
  readonly exit_code: number;
  readonly reason: string;
  readonly message: string;
}

export interface CriImage {
  readonly id: string;
  readonly repo_tags: readonly string[];
  readonly repo_digests: readonly string[];
  /** In bytes, as a string: protobuf's uint64. */
  readonly size: string;
}

export interface PullAuth {
  readonly username: string;
  readonly password: string;
  /** If absent, containerd sends the credentials to mirrors as well. */
  readonly server_address?: string;
}

export interface ContainerRun {
  readonly exitCode: number;
  /** What the container wrote to stdout and stderr. */
  readonly output: string;
}

const PROTO = fileURLToPath(new URL("../../proto/cri.proto", import.meta.url));
/** The machine has no CNI plugin, and a pod in the host's network namespace needs none. */
const HOST_NETWORK = { namespace_options: { network: "NODE", pid: "CONTAINER", ipc: "NODE" } };

/** A CRI client on containerd's socket, with the calls that a kubelet makes. */
export class Cri implements Disposable {
  readonly #client: grpc.Client;
  readonly #methods = new Map<string, protoLoader.MethodDefinition<object, object>>();
  readonly #logs: TempDir;
  #pods = 0;

  constructor(socket: string, logs: TempDir) {
    this.#client = new grpc.Client(`unix://${socket}`, grpc.credentials.createInsecure());
    this.#logs = logs;
    const definitions = protoLoader.loadSync(PROTO, {
      keepCase: true,
      longs: String,
      enums: String,
      defaults: true,
    });
    for (const service of ["RuntimeService", "ImageService"]) {
      // A service's definition is a record of its methods.
      const methods = definitions[`runtime.v1.${service}`] as protoLoader.ServiceDefinition;
      for (const [name, method] of Object.entries(methods)) this.#methods.set(name, method);
    }
  }

  /**
   * One unary call with a deadline of `within` ms.
   * @throws Error with the gRPC status details that containerd sent
   */
  call<Name extends keyof Calls>(
    name: Name,
    request: Calls[Name][0],
    within = 60_000,
  ): Promise<Calls[Name][1]> {
    const method = this.#methods.get(name);
    if (!method) throw new Error(`cri.proto has no ${name}`);
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        { deadline: Date.now() + within },
        (error, response) => {
          if (error) reject(new Error(`CRI ${name}: ${error.details}`, { cause: error }));
          // proto-loader returns plain objects in the form that cri.proto and `Calls` describe.
          else resolve(response as Calls[Name][1]);
        },
      );
    });
  }

  /** Pulls an image as a kubelet does, and returns its ID. */
  async pullImage(
    image: string,
    { auth, within = 120_000 }: { auth?: PullAuth; within?: number } = {},
  ): Promise<string> {
    const request = { image: { image }, ...(auth ? { auth } : {}) };
    return (await this.call("PullImage", request, within)).image_ref;
  }

  async removeImage(image: string): Promise<void> {
    await this.call("RemoveImage", { image: { image } });
  }

  async listImages(): Promise<readonly CriImage[]> {
    return (await this.call("ListImages", {})).images;
  }

  async imageStatus(image: string): Promise<CriImage | undefined> {
    return (await this.call("ImageStatus", { image: { image } })).image ?? undefined;
  }

  /** Runs a container of a pulled image in its own pod until it exits. */
  async runToEnd(
    image: string,
    { command = [], within = 30_000 }: { command?: readonly string[]; within?: number } = {},
  ): Promise<ContainerRun> {
    const name = `pod-${++this.#pods}`;
    const log = `${name}.log`;
    const sandbox = {
      metadata: { name, uid: crypto.randomUUID(), namespace: "test", attempt: 0 },
      log_directory: this.#logs.path,
      linux: { security_context: HOST_NETWORK },
    };
    const pod = await this.call("RunPodSandbox", { config: sandbox });
    try {
      const container = await this.call("CreateContainer", {
        ...pod,
        config: {
          metadata: { name: "main", attempt: 0 },
          image: { image },
          command,
          log_path: log,
          linux: { security_context: HOST_NETWORK },
        },
        sandbox_config: sandbox,
      });
      await this.call("StartContainer", container);
      const { exit_code } = await until(
        async () => {
          const { status } = await this.call("ContainerStatus", container);
          return status.state === "CONTAINER_EXITED" ? status : undefined;
        },
        { what: `the container of ${image} to exit`, within },
      );
      return {
        exitCode: exit_code,
        output: stripLogPrefixes(await readFile(this.#logs.file(log), "utf8")),
      };
    } finally {
      await this.removePod(pod.pod_sandbox_id);
    }
  }

  async removePod(pod_sandbox_id: string): Promise<void> {
    await this.call("StopPodSandbox", { pod_sandbox_id });
    await this.call("RemovePodSandbox", { pod_sandbox_id });
  }

  async removePods(): Promise<void> {
    const { items } = await this.call("ListPodSandbox", {});
    for (const { id } of items) await this.removePod(id);
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

/**
 * Removes the prefix of each line of a CRI log: `<time> stdout F text`, with P for a partial line.
 */
export function stripLogPrefixes(log: string): string {
  return log.replaceAll(/^\S+ std(?:out|err) ([FP]) (.*)\n/gm, (_, tag: string, text: string) =>
    tag === "F" ? `${text}\n` : text,
  );
}
