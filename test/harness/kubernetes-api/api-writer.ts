import type { ClusterAccess } from "../../../src/config/kubernetes-api/kubernetes-settings.ts";
import { RESOURCES } from "../../../src/kubernetes/resources.ts";

/** Writes objects into a cluster, for tests, over its API. */
export class ApiWriter {
  readonly #access: ClusterAccess;

  constructor(access: ClusterAccess) {
    this.#access = access;
  }

  /** Creates an object, or replaces it. */
  async put(kind: string, namespace: string, name: string, rest: object): Promise<void> {
    const { apiVersion, path } = place(kind, namespace);
    const object = { apiVersion, kind, metadata: { name, namespace }, ...rest };
    const metadata = { name, namespace, ...("metadata" in rest ? Object(rest.metadata) : {}) };
    const body = { ...object, metadata };
    const isThere = (await this.#send("GET", `${path}/${name}`)).status === 200;
    const response = isThere
      ? await this.#send("PUT", `${path}/${name}`, body)
      : await this.#send("POST", path, body);
    if (!response.ok)
      throw new Error(`${kind} ${name}: ${response.status} ${await response.text()}`);
    if ("status" in rest) await this.#send("PUT", `${path}/${name}/status`, body);
  }

  async remove(kind: string, namespace: string, name: string): Promise<void> {
    await this.#send("DELETE", `${place(kind, namespace).path}/${name}?gracePeriodSeconds=0`);
  }

  /** What is in it is not seen by other tests. */
  async makeNamespace(): Promise<string> {
    const name = `t-${crypto.randomUUID().slice(0, 13)}`;
    const body = { apiVersion: "v1", kind: "Namespace", metadata: { name } };
    await this.#send("POST", "/api/v1/namespaces", body);
    return name;
  }

  #send(method: string, path: string, body?: object): Promise<Response> {
    const { server, ca = "", credentials } = this.#access;
    const token = credentials.kind === "token" ? credentials.token : "";
    return fetch(`${server.origin}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      tls: { ca },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
  }
}

function place(kind: string, namespace: string): { apiVersion: string; path: string } {
  const resource = RESOURCES.find((one) => one.kind === kind);
  if (!resource) throw new TypeError(`${kind} is no kind`);
  const { group, plural } = resource;
  return {
    apiVersion: group.replace(/^\/apis?\//, ""),
    path: `${group}/namespaces/${namespace}/${plural}`,
  };
}

/** A `spec` of pods of these images. */
export function podSpec(...images: readonly string[]): object {
  return { containers: images.map((image, index) => ({ name: `c${index}`, image })) };
}

/** A workload's `spec` with such a template. */
export function templateOf(image: string, more: object = {}): object {
  const labels = { app: "test" };
  return {
    selector: { matchLabels: labels },
    template: { metadata: { labels }, spec: podSpec(image) },
    ...more,
  };
}
