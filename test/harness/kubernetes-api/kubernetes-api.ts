import { readFileSync } from "node:fs";
import type { CertificateAuthority, SignedCertificate } from "../services/certificate-authority.ts";
import { makeCertificateAuthority } from "../services/certificate-authority.ts";
import { freePort } from "../free-port.ts";
import { tempDir, type TempDir } from "../temp-dir.ts";
import { discovery } from "./discovery.ts";
import { type KubernetesObject, ObjectStore } from "./object-store.ts";
import { type Resource, resourceAt } from "./resource-paths.ts";
import { failure, notFound } from "./status.ts";
import { Watches } from "./watches.ts";

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
}

/**
 * A Kubernetes API server, as far as reading workloads goes: lists with limit and continue, watches with bookmarks,
 * resource versions and 410, bearer tokens, a CA of its own. kubectl works with it. What it holds is written over
 * HTTP, as with a real one.
 */
export class KubernetesApi implements AsyncDisposable {
  readonly store = new ObjectStore();
  readonly requests: SeenRequest[] = [];
  readonly watches = new Watches(this.store);
  /** The token that it accepts; what a client has cached is refused once it changes. */
  token = "secret-token-of-a-service-account";
  /** Plurals that the token gives no right to. */
  readonly forbidden = new Set<string>();
  /** Lists are answered once it resolves. */
  listing: Promise<void> | undefined;
  readonly #dir: TempDir;
  readonly #ca: CertificateAuthority;
  readonly #certificate: SignedCertificate;
  readonly #port: number;
  #server: Bun.Server<undefined>;

  private constructor(dir: TempDir, ca: CertificateAuthority, certificate: SignedCertificate) {
    this.#dir = dir;
    this.#ca = ca;
    this.#certificate = certificate;
    // While it is away, its port must not be given to whoever chooses none.
    this.#port = freePort();
    this.#server = this.#listen(this.#port);
  }

  static async start(): Promise<KubernetesApi> {
    const dir = await tempDir("kube");
    const ca = await makeCertificateAuthority(dir, "kubernetes-ca");
    const certificate = await ca.sign("apiserver", "DNS:kubernetes,IP:127.0.0.1");
    return new KubernetesApi(dir, ca, certificate);
  }

  get url(): URL {
    return new URL(`https://127.0.0.1:${this.#port}`);
  }

  get ca(): string {
    return readFileSync(this.#ca.certificateFile, "utf8");
  }

  get caFile(): string {
    return this.#ca.certificateFile;
  }

  /** A kubeconfig for it, whose user has its token unless another one is given. */
  kubeconfig(user: object = { token: this.token }): object {
    return {
      apiVersion: "v1",
      kind: "Config",
      "current-context": "test",
      contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
      clusters: [
        {
          name: "test",
          cluster: { server: this.url.origin, "certificate-authority": this.caFile },
        },
      ],
      users: [{ name: "test", user }],
    };
  }

  /** Cuts all connections. */
  async cut(): Promise<void> {
    await this.goAway();
    this.comeBack();
  }

  /** Cuts all connections, and refuses new ones until `comeBack`. */
  async goAway(): Promise<void> {
    await this.#server.stop(true);
  }

  comeBack(): void {
    this.#server = this.#listen(this.#port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
    await this.#dir[Symbol.asyncDispose]();
  }

  #listen(port: number): Bun.Server<undefined> {
    const { certificateFile, keyFile } = this.#certificate;
    return Bun.serve({
      hostname: "127.0.0.1",
      port,
      idleTimeout: 0,
      tls: { cert: Bun.file(certificateFile), key: Bun.file(keyFile) },
      fetch: (request) => this.#answer(request),
    });
  }

  async #answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const query = Object.fromEntries(url.searchParams);
    this.requests.push({ method: request.method, path: url.pathname, query });
    if (request.headers.get("authorization") !== `Bearer ${this.token}`) {
      return failure(401, "Unauthorized", "Unauthorized");
    }
    const described = discovery(url.pathname);
    if (described) return Response.json(described);
    const resource = resourceAt(url.pathname);
    if (!resource) return notFound(url.pathname);
    if (this.forbidden.has(resource.plural)) {
      const { plural } = resource;
      const what = `${plural} is forbidden: User "system:serviceaccount:entrepot:entrepot" cannot list resource "${plural}" at the cluster scope`;
      return failure(403, "Forbidden", what);
    }
    return request.method === "GET" ? this.#read(resource, query) : this.#write(resource, request);
  }

  async #read(resource: Resource, query: Readonly<Record<string, string>>): Promise<Response> {
    const { plural, kind, namespace, name, apiVersion } = resource;
    if (name !== undefined) {
      const object = this.store.get(
        plural,
        namespace === undefined ? name : `${namespace}/${name}`,
      );
      return object ? Response.json({ apiVersion, kind, ...object }) : notFound(name);
    }
    if (query["watch"] === "true" || query["watch"] === "1") {
      return this.watches.open(resource, query);
    }
    await this.listing;
    return this.#list(resource, query);
  }

  #list(
    { plural, kind, namespace, apiVersion }: Resource,
    { limit, continue: token }: Readonly<Record<string, string>>,
  ): Response {
    const from = token === undefined ? undefined : parseContinue(token);
    if (from && from.version < this.store.compacted) {
      const message =
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.";
      return failure(410, "Expired", message);
    }
    // One page begins after the last object of the one before.
    const all = this.store.list(plural, namespace);
    const rest = all.slice(from?.start ?? 0);
    const items = rest.slice(0, limit === undefined ? rest.length : Number(limit));
    const version = from?.version ?? this.store.version;
    const start = (from?.start ?? 0) + items.length;
    const next = start < all.length ? continueToken({ version, start }) : "";
    const left = all.length - start;
    return Response.json({
      kind: `${kind}List`,
      apiVersion,
      metadata: {
        resourceVersion: String(version),
        ...(next === "" ? {} : { continue: next, remainingItemCount: left }),
      },
      items,
    });
  }

  async #write(resource: Resource, request: Request): Promise<Response> {
    const { plural, namespace, name = "" } = resource;
    const key = namespace === undefined ? name : `${namespace}/${name}`;
    if (request.method === "DELETE") {
      const removed = this.store.remove(plural, key);
      return removed ? Response.json(removed) : notFound(name);
    }
    // Only tests write, and what they write is an object.
    const object = (await request.json()) as KubernetesObject;
    const metadata = { ...object.metadata, ...(namespace === undefined ? {} : { namespace }) };
    const before = this.store.get(plural, key);
    const merged = resource.isStatus ? { ...before, status: object["status"] } : object;
    const stored = this.store.put(plural, { ...merged, metadata: { ...metadata } });
    return Response.json(stored, { status: request.method === "POST" ? 201 : 200 });
  }
}

interface Continue {
  readonly version: number;
  readonly start: number;
}

function continueToken(at: Continue): string {
  return Buffer.from(JSON.stringify(at)).toString("base64url");
}

function parseContinue(token: string): Continue {
  // Made by `continueToken`.
  return JSON.parse(Buffer.from(token, "base64url").toString()) as Continue;
}
