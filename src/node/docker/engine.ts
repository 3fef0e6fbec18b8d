import { z } from "zod";
import { secondsText } from "../../oci/seconds-text.ts";

export type EngineFaultKind =
  /** The socket does not exist, or nothing listens on it. */
  | "absent"
  /** This user may not open the socket. */
  | "forbidden"
  | "timeout"
  /** The process that listens does not speak the Engine API. */
  | "not-docker"
  /** The call was accepted and failed, such as the pull of an image that does not exist. */
  | "failed";

export class EngineFault extends Error {
  override readonly name = "EngineFault";

  constructor(
    readonly kind: EngineFaultKind,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

const infoResponse = z.object({
  ServerVersion: z.string(),
  /** Pairs of a name and a value. */
  DriverStatus: z.array(z.array(z.string())).nullish(),
  SecurityOptions: z.array(z.string()).nullish(),
  RegistryConfig: z.object({
    Mirrors: z.array(z.string()).nullish(),
    InsecureRegistryCIDRs: z.array(z.string()).nullish(),
    IndexConfigs: z.record(z.string(), z.object({ Secure: z.boolean() })),
  }),
});
const imagesResponse = z.array(
  z.object({ RepoTags: z.array(z.string()).nullish(), RepoDigests: z.array(z.string()).nullish() }),
);
const errorResponse = z.object({ message: z.string() });
/** One line of the progress of a pull. */
const progressLine = z.object({ error: z.string().optional() });

/** What the running daemon says about itself. */
export interface EngineInfo {
  readonly version: string;
  readonly hasContainerdStore: boolean;
  readonly isRootless: boolean;
  /** In force, without trailing slashes. */
  readonly mirrors: readonly string[];
  /** Hosts and networks for which it accepts plain HTTP, without those of its defaults. */
  readonly insecure: readonly string[];
}

const DEFAULT_NETWORKS = new Set(["127.0.0.0/8", "::1/128"]);

/** A client of the Docker Engine API on its Unix socket. Every method rejects with an EngineFault. */
export class Engine {
  constructor(readonly socket: string) {}

  async info(timeoutMs = 5_000): Promise<EngineInfo> {
    const parsed = infoResponse.safeParse(await this.#json("GET", "/info", timeoutMs));
    if (!parsed.success) throw this.#notDocker();
    const { ServerVersion, DriverStatus, SecurityOptions, RegistryConfig } = parsed.data;
    const hosts = Object.entries(RegistryConfig.IndexConfigs).filter(([, { Secure }]) => !Secure);
    return {
      version: ServerVersion,
      hasContainerdStore: (DriverStatus ?? []).some(
        ([name, value]) => name === "driver-type" && value?.startsWith("io.containerd."),
      ),
      isRootless: (SecurityOptions ?? []).some((option) => option.includes("name=rootless")),
      mirrors: (RegistryConfig.Mirrors ?? []).map((url) => url.replace(/\/$/, "")),
      insecure: [
        ...hosts.map(([name]) => name),
        ...(RegistryConfig.InsecureRegistryCIDRs ?? []).filter((it) => !DEFAULT_NETWORKS.has(it)),
      ],
    };
  }

  async images(): Promise<{ tags: string[]; digests: string[] }[]> {
    const parsed = imagesResponse.safeParse(await this.#json("GET", "/images/json", 30_000));
    if (!parsed.success) throw this.#notDocker();
    // The classic image store lists an untagged image as <none>:<none>.
    const known = (names: readonly string[] | null | undefined): string[] =>
      (names ?? []).filter((name) => !name.startsWith("<none>"));
    return parsed.data.map((it) => ({ tags: known(it.RepoTags), digests: known(it.RepoDigests) }));
  }

  async pull(reference: string, timeoutMs: number): Promise<void> {
    // Without a tag, all tags of the repository would be pulled.
    const {
      name = reference,
      digest,
      tag = "latest",
    } = /^(?<name>.+?)(?::(?<tag>[^:/@]+))?(?:@(?<digest>.+))?$/.exec(reference)?.groups ?? {};
    const query = new URLSearchParams({ fromImage: name, tag: digest ?? tag });
    const response = await this.#call("POST", `/images/create?${query.toString()}`, timeoutMs);
    // The status is sent before the pull: an error is the last line of the progress.
    const text = await response.text().catch((error: unknown) => {
      throw this.#connectionFault(error, timeoutMs);
    });
    const lines = text.split("\n").filter((line) => line.trim() !== "");
    for (const line of lines) {
      const { error } = progressLine.safeParse(JSON.parse(line)).data ?? {};
      if (error !== undefined) throw new EngineFault("failed", error);
    }
  }

  async remove(reference: string): Promise<void> {
    const response = await this.#call("DELETE", `/images/${reference}`, 30_000);
    await response.body?.cancel();
  }

  async #json(method: string, path: string, timeoutMs: number): Promise<unknown> {
    const response = await this.#call(method, path, timeoutMs);
    try {
      return await response.json();
    } catch (cause) {
      throw cause instanceof SyntaxError
        ? this.#notDocker(cause)
        : this.#connectionFault(cause, timeoutMs);
    }
  }

  async #call(method: string, path: string, timeoutMs: number): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(`http://docker${path}`, {
        method,
        unix: this.socket,
        signal: AbortSignal.timeout(timeoutMs),
      });
    } catch (error) {
      throw this.#connectionFault(error, timeoutMs);
    }
    if (response.ok) return response;
    const text = await response.text();
    throw new EngineFault("failed", messageOf(text) ?? `status ${response.status}`);
  }

  #notDocker(cause?: unknown): EngineFault {
    return new EngineFault("not-docker", `${this.socket} does not speak Docker's API`, { cause });
  }

  #connectionFault(error: unknown, timeoutMs: number): EngineFault {
    const because = { cause: error };
    if (error instanceof DOMException && error.name === "TimeoutError") {
      const what = `${this.socket} did not respond within ${secondsText(timeoutMs / 1000)}`;
      return new EngineFault("timeout", what, because);
    }
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (code === "EACCES" || code === "EPERM")
      return new EngineFault("forbidden", `${this.socket}: permission denied`, because);
    return new EngineFault("absent", `nothing listens on ${this.socket}`, because);
  }
}

function messageOf(text: string): string | undefined {
  try {
    return errorResponse.safeParse(JSON.parse(text)).data?.message;
  } catch {
    return undefined;
  }
}
