import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Cri, stripLogPrefixes } from "../runtimes/cri.ts";
import type { Manifest } from "./helm.ts";
import { type PodContainer, type PodProbe, templateOf } from "./pod-template.ts";
import { environmentOf, expanded, namespacesOf, resourcesOf, securityOf } from "./pod-container.ts";
import { makeVolume } from "./pod-volumes.ts";
import { until } from "../waiting.ts";

/** A node with a containerd that runs pods. */
export interface PodNode {
  readonly cri: Cri;
  readonly ip: string;
  readonly name: string;
  /** A folder for pods and their logs, under a path that is the same for the test and for containerd. */
  readonly folder: string;
  /** The path by which the test reaches a path of the node. */
  onNode(path: string): string;
}

export interface RenderedPodOptions {
  readonly node: PodNode;
  /** What else was rendered: ConfigMaps and Secrets. */
  readonly objects?: readonly Manifest[];
  /** The folder of each volume claim. */
  readonly claims?: Readonly<Record<string, string>>;
}

interface Running {
  readonly spec: PodContainer;
  readonly id: string;
  readonly log: string;
}

export interface EndedContainer {
  readonly name: string;
  readonly exitCode: number;
  readonly output: string;
}

let pods = 0;

/**
 * A pod of a rendered workload, run by a real containerd over CRI as a kubelet has it run: image, arguments, environment,
 * mounts, users, rights and probes are those of the template, and what the harness does not know is an error.
 */
export class RenderedPod implements AsyncDisposable {
  readonly #template: ReturnType<typeof templateOf>;
  readonly #options: RenderedPodOptions;
  readonly #name: string;
  readonly #folder: string;
  readonly #sandbox: Record<string, unknown>;
  readonly #volumes: ReadonlyMap<string, string>;
  readonly #running: Running[] = [];
  #id: string | undefined;
  #ip = "";

  /** @param workload a DaemonSet, a StatefulSet, a Job … as `helm template` prints it */
  constructor(workload: Manifest, options: RenderedPodOptions) {
    this.#template = templateOf(workload);
    this.#options = options;
    const { node, objects = [], claims = {} } = options;
    this.#name = `${workload.metadata.name}-${++pods}`;
    this.#folder = join(node.folder, this.#name);
    mkdirSync(join(this.#folder, "log"), { recursive: true });
    const { spec } = this.#template;
    const { fsGroup } = spec.securityContext;
    const onNode = (path: string): string => node.onNode(path);
    this.#volumes = new Map(
      spec.volumes.map((volume) => [
        volume.name,
        makeVolume(volume, { folder: this.#folder, fsGroup, objects, claims, onNode }),
      ]),
    );
    this.#sandbox = {
      metadata: { name: this.#name, uid: crypto.randomUUID(), namespace: "test", attempt: 0 },
      hostname: spec.hostNetwork ? "" : this.#name,
      log_directory: join(this.#folder, "log"),
      linux: {
        security_context: {
          namespace_options: namespacesOf(spec),
          seccomp: { profile_type: "RuntimeDefault" },
        },
      },
    };
  }

  /** Starts the pod, and runs its init containers, each of which has to succeed. Does not wait for probes. */
  async start(): Promise<void> {
    await this.begin();
    for (const spec of this.#template.spec.initContainers) {
      const { exitCode, output } = await this.runInit(spec.name);
      if (exitCode !== 0) throw new Error(`${spec.name} ended with ${exitCode}:\n${output}`);
    }
    await this.startContainers();
  }

  /** Makes the pod's sandbox. */
  async begin(): Promise<void> {
    const { cri, ip } = this.#options.node;
    const { pod_sandbox_id } = await cri.call("RunPodSandbox", { config: this.#sandbox });
    this.#id = pod_sandbox_id;
    const { status } = await cri.call("PodSandboxStatus", { pod_sandbox_id });
    this.#ip = this.#template.spec.hostNetwork ? ip : (status.network?.ip ?? "");
  }

  /** Runs an init container to its end. The kubelet would run one that failed again. */
  async runInit(name: string, within = 120_000): Promise<EndedContainer> {
    const { initContainers } = this.#template.spec;
    const spec = initContainers.find((it) => it.name === name);
    if (!spec) throw new Error(`there is no init container ${name}`);
    return this.ended(await this.#startContainer(spec), within);
  }

  async startContainers(): Promise<void> {
    for (const spec of this.#template.spec.containers) {
      this.#running.push(await this.#startContainer(spec));
    }
  }

  /** The address of the pod. */
  get ip(): string {
    return this.#ip;
  }

  /** A container's ID, for containerd. */
  id(name: string): string {
    return this.#find(name).id;
  }

  /** Waits for a container to end. */
  async ended({ id, log, spec }: Running, within: number): Promise<EndedContainer> {
    const { cri } = this.#options.node;
    const exitCode = await until(
      async () => {
        const { status } = await cri.call("ContainerStatus", { container_id: id });
        return status.state === "CONTAINER_EXITED" ? { code: status.exit_code } : undefined;
      },
      { what: `${spec.name} to end`, within, detail: () => this.#read(log) },
    );
    return { name: spec.name, exitCode: exitCode.code, output: this.#read(log) };
  }

  /** What a running container has written. */
  output(name: string): string {
    return this.#read(this.#find(name).log);
  }

  async isRunning(name: string): Promise<boolean> {
    const { cri } = this.#options.node;
    const { status } = await cri.call("ContainerStatus", { container_id: this.#find(name).id });
    return status.state === "CONTAINER_RUNNING";
  }

  /** Runs a probe once, as the template has it. */
  async probe(
    name: string,
    kind: "startupProbe" | "livenessProbe" | "readinessProbe",
  ): Promise<boolean> {
    const { spec, id } = this.#find(name);
    const probe = spec[kind];
    if (!probe) throw new Error(`${name} has no ${kind}`);
    return probe.httpGet ? this.#get(spec, probe) : this.#exec(id, probe);
  }

  /** Waits until a probe has succeeded as often as it says, at its pace. */
  async waitFor(
    name: string,
    kind: "startupProbe" | "livenessProbe" | "readinessProbe",
    within = 60_000,
  ): Promise<void> {
    await until(() => this.probe(name, kind), {
      what: `the ${kind} of ${name}`,
      within,
      detail: () => this.output(name),
    });
  }

  /** Runs a program of the image in a container. */
  async exec(
    name: string,
    command: readonly string[],
  ): Promise<{ exitCode: number; output: string }> {
    const { cri } = this.#options.node;
    const { id } = this.#find(name);
    const ran = await cri.call("ExecSync", { container_id: id, cmd: command, timeout: 20 });
    const output = new TextDecoder().decode(Buffer.concat([ran.stdout, ran.stderr]));
    return { exitCode: ran.exit_code, output };
  }

  /** Ends the containers as the kubelet does: SIGTERM, and SIGKILL after the pod's grace period. */
  async stop(): Promise<readonly EndedContainer[]> {
    const { cri } = this.#options.node;
    const timeout = this.#template.spec.terminationGracePeriodSeconds;
    const ended: EndedContainer[] = [];
    for (const running of this.#running.splice(0)) {
      await cri.call("StopContainer", { container_id: running.id, timeout }, (timeout + 10) * 1000);
      ended.push(await this.ended(running, 10_000));
    }
    await this.#remove();
    return ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#remove();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #remove(): Promise<void> {
    const id = this.#id;
    this.#id = undefined;
    if (id !== undefined) await this.#options.node.cri.removePod(id);
  }

  async #startContainer(spec: PodContainer): Promise<Running> {
    const { cri } = this.#options.node;
    const log = `${spec.name}.log`;
    const environment = this.#environment(spec);
    const created = await cri.call("CreateContainer", {
      pod_sandbox_id: this.#id,
      config: {
        metadata: { name: spec.name, attempt: 0 },
        image: { image: spec.image },
        command: spec.command.map((it) => expanded(it, environment)),
        args: spec.args.map((it) => expanded(it, environment)),
        envs: [...environment].map(([key, value]) => ({ key, value })),
        mounts: spec.volumeMounts.map(({ name, mountPath, readOnly, mountPropagation }) => {
          const host = this.#volumes.get(name);
          if (host === undefined) throw new Error(`there is no volume ${name}`);
          const propagation =
            mountPropagation === "None" ? "PROPAGATION_PRIVATE" : "PROPAGATION_HOST_TO_CONTAINER";
          return { container_path: mountPath, host_path: host, readonly: readOnly, propagation };
        }),
        log_path: log,
        linux: {
          resources: resourcesOf(spec),
          security_context: securityOf(spec, this.#template.spec),
        },
      },
      sandbox_config: this.#sandbox,
    });
    rmSync(join(this.#folder, "log", log), { force: true });
    await cri.call("StartContainer", created);
    return { spec, id: created.container_id, log };
  }

  #environment({ env }: PodContainer): Map<string, string> {
    const { node } = this.#options;
    return environmentOf(env, {
      "status.hostIP": node.ip,
      "status.podIP": this.#ip,
      "spec.nodeName": node.name,
      "metadata.name": this.#name,
      "metadata.namespace": "test",
    });
  }

  #find(name: string): Running {
    const found = this.#running.find(({ spec }) => spec.name === name);
    if (!found) throw new Error(`no container ${name} is running`);
    return found;
  }

  async #get({ ports }: PodContainer, { httpGet, timeoutSeconds }: PodProbe): Promise<boolean> {
    if (!httpGet) throw new Error("it is no httpGet probe");
    const port =
      typeof httpGet.port === "number"
        ? httpGet.port
        : ports.find(({ name }) => name === httpGet.port)?.containerPort;
    if (port === undefined) throw new Error(`no port is named ${httpGet.port}`);
    const url = `${httpGet.scheme.toLowerCase()}://${this.#ip}:${port}${httpGet.path}`;
    try {
      const signal = AbortSignal.timeout(timeoutSeconds * 1000);
      // The kubelet does not verify certificates.
      const response = await fetch(url, {
        redirect: "manual",
        signal,
        tls: { rejectUnauthorized: false },
      });
      await response.bytes();
      return response.status >= 200 && response.status < 400;
    } catch {
      return false;
    }
  }

  async #exec(id: string, { exec, timeoutSeconds }: PodProbe): Promise<boolean> {
    const { cri } = this.#options.node;
    const call = { container_id: id, cmd: exec?.command ?? [], timeout: timeoutSeconds };
    return (await cri.call("ExecSync", call)).exit_code === 0;
  }

  #read(log: string): string {
    try {
      return stripLogPrefixes(readFileSync(join(this.#folder, "log", log), "utf8"));
    } catch {
      return ""; // It has written nothing yet.
    }
  }
}
