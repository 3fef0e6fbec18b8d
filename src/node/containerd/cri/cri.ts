import { Client, credentials, status } from "@grpc/grpc-js";
import type { ServiceError } from "@grpc/grpc-js";
import type { MethodDefinition } from "@grpc/proto-loader";
import { z } from "zod";
import { protocol } from "./cri-proto.ts";

/** Why a runtime's socket did not do what was asked of it. */
export type CriFaultKind =
  /** Nothing listens, or there is no such socket. */
  | "absent"
  /** The socket may not be opened by this user. */
  | "forbidden"
  /** containerd answers, and its CRI plugin is not loaded: kubelet is dead here. */
  | "cri-dead"
  /** Something listens that does not speak gRPC. */
  | "not-grpc"
  | "timeout"
  /** The call was understood and failed: a pull that found no image, for example. */
  | "failed";

export class CriFault extends Error {
  override readonly name = "CriFault";

  constructor(
    readonly kind: CriFaultKind,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export interface LocalImage {
  readonly id: string;
  readonly tags: readonly string[];
  readonly digests: readonly string[];
}

const versionAnswer = z.object({ runtime_name: z.string(), runtime_version: z.string() });
const daemonAnswer = z.object({ version: z.string() });
const statusAnswer = z.object({ info: z.record(z.string(), z.string()) });
const image = z.object({
  id: z.string(),
  repo_tags: z.array(z.string()),
  repo_digests: z.array(z.string()),
});
const imagesAnswer = z.object({ images: z.array(image) });
const imageAnswer = z.object({ image: image.nullish() });
const pluginsAnswer = z.object({
  plugins: z.array(
    z.object({
      type: z.string(),
      id: z.string(),
      init_err: z.object({ message: z.string() }).nullish(),
    }),
  ),
});
const pullAnswer = z.object({ image_ref: z.string() });

/** CRI, and containerd's own version service, on one unix socket. Close it when done. */
export class Cri {
  readonly #client: Client;

  constructor(readonly socket: string) {
    this.#client = new Client(`unix:${socket}`, credentials.createInsecure(), {
      // A restart is awaited by asking again and again: the default back-off goes up to two minutes.
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 500,
      "grpc.max_receive_message_length": 64 * 1024 * 1024,
    });
  }

  /** CRI's word on itself. While containerd's daemon is up and CRI is dead, this is what fails. */
  async version(timeoutMs = 5_000): Promise<{ name: string; version: string }> {
    const answer = await this.#call("runtime.v1.RuntimeService", "Version", {}, timeoutMs);
    const read = versionAnswer.parse(answer);
    return { name: read.runtime_name, version: read.runtime_version };
  }

  /** containerd's version from its own service, which answers with CRI dead too. */
  async daemonVersion(timeoutMs = 5_000): Promise<string> {
    const service = "containerd.services.version.v1.Version";
    return daemonAnswer.parse(await this.#call(service, "Version", {}, timeoutMs)).version;
  }

  /** Why plugins did not start, in the daemon's own words, by `type.id`. */
  async pluginErrors(timeoutMs = 5_000): Promise<ReadonlyMap<string, string>> {
    const service = "containerd.services.introspection.v1.Introspection";
    const answer = pluginsAnswer.parse(await this.#call(service, "Plugins", {}, timeoutMs));
    return new Map(
      answer.plugins.flatMap((plugin): [string, string][] =>
        plugin.init_err?.message ? [[`${plugin.type}.${plugin.id}`, plugin.init_err.message]] : [],
      ),
    );
  }

  /** What CRI tells of itself when asked to be verbose; `config` is its configuration in JSON. */
  async info(timeoutMs = 10_000): Promise<Readonly<Record<string, string>>> {
    const request = { verbose: true };
    const answer = await this.#call("runtime.v1.RuntimeService", "Status", request, timeoutMs);
    return statusAnswer.parse(answer).info;
  }

  async images(timeoutMs = 10_000): Promise<LocalImage[]> {
    const answer = await this.#call("runtime.v1.ImageService", "ListImages", {}, timeoutMs);
    return imagesAnswer.parse(answer).images.map(localImage);
  }

  async image(reference: string, timeoutMs = 10_000): Promise<LocalImage | undefined> {
    const request = { image: { image: reference } };
    const answer = await this.#call("runtime.v1.ImageService", "ImageStatus", request, timeoutMs);
    const found = imageAnswer.parse(answer).image;
    return found ? localImage(found) : undefined;
  }

  /** Pulls as the kubelet does; returns the image's id. */
  async pull(reference: string, timeoutMs: number): Promise<string> {
    const request = { image: { image: reference } };
    const answer = await this.#call("runtime.v1.ImageService", "PullImage", request, timeoutMs);
    return pullAnswer.parse(answer).image_ref;
  }

  async remove(reference: string, timeoutMs = 30_000): Promise<void> {
    const request = { image: { image: reference } };
    await this.#call("runtime.v1.ImageService", "RemoveImage", request, timeoutMs);
  }

  close(): void {
    this.#client.close();
  }

  #call(service: string, name: string, request: object, timeoutMs: number): Promise<unknown> {
    const method = methodOf(service, name);
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        method.path,
        (value: object) => method.requestSerialize(value),
        (bytes: Buffer): unknown => method.responseDeserialize(bytes),
        request,
        { deadline: Date.now() + timeoutMs },
        (error, answer) => {
          if (error) reject(criFault(error, this.socket, `${service}/${name}`, timeoutMs));
          else resolve(answer);
        },
      );
    });
  }
}

function methodOf(service: string, name: string): MethodDefinition<object, object> {
  const definition = protocol[service];
  if (definition === undefined || "format" in definition) throw new Error(`no service ${service}`);
  const method = definition[name];
  if (method === undefined) throw new Error(`no method ${service}/${name}`);
  return method;
}

function localImage(from: z.infer<typeof image>): LocalImage {
  return { id: from.id, tags: from.repo_tags, digests: from.repo_digests };
}

function criFault(error: ServiceError, socket: string, call: string, timeoutMs: number): CriFault {
  const { details } = error;
  const because = { cause: error };
  if (error.code === status.UNIMPLEMENTED) {
    // "unknown service runtime.v1.RuntimeService": the daemon is up and its CRI plugin is not.
    return new CriFault("cri-dead", `${socket}: ${details}`, because);
  }
  if (error.code === status.DEADLINE_EXCEEDED) {
    const what = `${socket}: no answer to ${call} within ${timeoutMs} ms`;
    return new CriFault("timeout", what, because);
  }
  if (error.code !== status.UNAVAILABLE) return new CriFault("failed", details, because);
  if (/EACCES|EPERM|permission denied/i.test(details)) {
    return new CriFault("forbidden", `${socket} may not be opened: run this as root`, because);
  }
  if (/ENOENT|ECONNREFUSED|No connection established|Failed to connect|ENOTSOCK/i.test(details)) {
    return new CriFault(
      "absent",
      `nothing answers at ${socket} (${/\bE[A-Z]{3,}\b/.exec(details)?.[0] ?? details})`,
      because,
    );
  }
  return new CriFault("not-grpc", `${socket} does not speak gRPC: ${details}`, because);
}
