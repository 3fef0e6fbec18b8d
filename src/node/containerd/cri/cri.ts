import { Client, credentials, status } from "@grpc/grpc-js";
import type { ServiceError } from "@grpc/grpc-js";
import type { MethodDefinition } from "@grpc/proto-loader";
import { z } from "zod";
import { secondsText } from "../../../oci/seconds-text.ts";
import { packageDefinition } from "./cri-proto.ts";

/** Why a call on the runtime's socket failed. */
export type CriFaultKind =
  /** The socket does not exist, or nothing listens on it. */
  | "absent"
  /** This user may not open the socket. */
  | "forbidden"
  /** containerd responds, but its CRI plugin is not loaded: the kubelet cannot start pods. */
  | "cri-dead"
  /** The process that listens does not speak gRPC. */
  | "not-grpc"
  | "timeout"
  /** The call was accepted and failed, such as the pull of an image that does not exist. */
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

const versionResponse = z.object({ runtime_name: z.string(), runtime_version: z.string() });
const daemonVersionResponse = z.object({ version: z.string() });
const statusResponse = z.object({ info: z.record(z.string(), z.string()) });
const image = z.object({
  id: z.string(),
  repo_tags: z.array(z.string()),
  repo_digests: z.array(z.string()),
});
const listImagesResponse = z.object({ images: z.array(image) });
const imageStatusResponse = z.object({ image: image.nullish() });
const pluginsResponse = z.object({
  plugins: z.array(
    z.object({
      type: z.string(),
      id: z.string(),
      init_err: z.object({ message: z.string() }).nullish(),
    }),
  ),
});
const pullImageResponse = z.object({ image_ref: z.string() });

/**
 * A client of CRI, and of containerd's version and introspection services, on one unix socket. Its
 * methods throw CriFault. Close it after use.
 */
export class Cri {
  readonly #client: Client;

  constructor(readonly socket: string) {
    this.#client = new Client(`unix:${socket}`, credentials.createInsecure(), {
      // A restart is awaited by polling, and the default back-off grows to two minutes.
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 500,
      "grpc.max_receive_message_length": 64 * 1024 * 1024,
    });
  }

  /** Name and version of the runtime. Fails if CRI is not loaded, even while the daemon runs. */
  async version(timeoutMs = 5_000): Promise<{ name: string; version: string }> {
    const response = await this.#call("runtime.v1.RuntimeService", "Version", {}, timeoutMs);
    const read = versionResponse.parse(response);
    return { name: read.runtime_name, version: read.runtime_version };
  }

  /** containerd's version, from a service that responds even if CRI is not loaded. */
  async daemonVersion(timeoutMs = 5_000): Promise<string> {
    const service = "containerd.services.version.v1.Version";
    return daemonVersionResponse.parse(await this.#call(service, "Version", {}, timeoutMs)).version;
  }

  /** The daemon's error messages of plugins that were not loaded, by `type.id`. */
  async pluginErrors(timeoutMs = 5_000): Promise<ReadonlyMap<string, string>> {
    const service = "containerd.services.introspection.v1.Introspection";
    const response = pluginsResponse.parse(await this.#call(service, "Plugins", {}, timeoutMs));
    return new Map(
      response.plugins.flatMap((plugin): [string, string][] =>
        plugin.init_err?.message ? [[`${plugin.type}.${plugin.id}`, plugin.init_err.message]] : [],
      ),
    );
  }

  /** The verbose part of CRI's status; `config` is its configuration as JSON. */
  async info(timeoutMs = 10_000): Promise<Readonly<Record<string, string>>> {
    const request = { verbose: true };
    const response = await this.#call("runtime.v1.RuntimeService", "Status", request, timeoutMs);
    return statusResponse.parse(response).info;
  }

  async images(timeoutMs = 10_000): Promise<LocalImage[]> {
    const response = await this.#call("runtime.v1.ImageService", "ListImages", {}, timeoutMs);
    return listImagesResponse.parse(response).images.map(localImage);
  }

  async image(reference: string, timeoutMs = 10_000): Promise<LocalImage | undefined> {
    const request = { image: { image: reference } };
    const response = await this.#call("runtime.v1.ImageService", "ImageStatus", request, timeoutMs);
    const found = imageStatusResponse.parse(response).image;
    return found ? localImage(found) : undefined;
  }

  /** Pulls an image as the kubelet does, and returns its ID. */
  async pull(reference: string, timeoutMs: number): Promise<string> {
    const request = { image: { image: reference } };
    const response = await this.#call("runtime.v1.ImageService", "PullImage", request, timeoutMs);
    return pullImageResponse.parse(response).image_ref;
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
        (error, response) => {
          if (error) reject(criFault(error, this.socket, `${service}/${name}`, timeoutMs));
          else resolve(response);
        },
      );
    });
  }
}

function methodOf(service: string, name: string): MethodDefinition<object, object> {
  const definition = packageDefinition[service];
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
  const options = { cause: error };
  if (error.code === status.UNIMPLEMENTED) {
    // "unknown service runtime.v1.RuntimeService": the daemon runs without its CRI plugin.
    return new CriFault("cri-dead", `${socket}: ${details}`, options);
  }
  if (error.code === status.DEADLINE_EXCEEDED) {
    const what = `${socket}: no response to ${call} within ${secondsText(timeoutMs / 1000)}`;
    return new CriFault("timeout", what, options);
  }
  if (error.code !== status.UNAVAILABLE) return new CriFault("failed", details, options);
  if (/EACCES|EPERM|permission denied/i.test(details)) {
    return new CriFault("forbidden", `permission denied for ${socket}: run this as root`, options);
  }
  if (/ENOENT|ECONNREFUSED|No connection established|Failed to connect|ENOTSOCK/i.test(details)) {
    return new CriFault(
      "absent",
      `nothing listens on ${socket} (${/\bE[A-Z]{3,}\b/.exec(details)?.[0] ?? details})`,
      options,
    );
  }
  return new CriFault("not-grpc", `${socket} does not speak gRPC: ${details}`, options);
}
