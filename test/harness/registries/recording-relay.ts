/** A request as it passed by, and the status of its response. Secrets are never recorded. */
export interface RecordedRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** The scheme and whom the credentials name (`Basic alice`, `Bearer alice`), or `none`. */
  readonly credentials: string;
  readonly agent: string;
  readonly status: number;
}

/** Stands before a server, and records who asks it for what. Bodies are passed on as a whole. */
export class RecordingRelay implements AsyncDisposable {
  readonly url: string;
  readonly #server: Bun.Server<undefined>;
  #requests: RecordedRequest[] = [];
  #status: number | undefined;

  constructor(target: string) {
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: (request) => this.#pass(request, target),
    });
    this.url = `http://127.0.0.1:${this.#server.port}`;
  }

  get address(): string {
    return new URL(this.url).host;
  }

  /** In the order of the responses. */
  get requests(): readonly RecordedRequest[] {
    return this.#requests;
  }

  /** What was recorded since the last call. */
  take(): RecordedRequest[] {
    const taken = this.#requests;
    this.#requests = [];
    return taken;
  }

  add(request: RecordedRequest): void {
    this.#requests.push(request);
  }

  /** Answers every request with this status; `undefined` passes them on again. */
  failWith(status: number | undefined): void {
    this.#status = status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }

  async #pass(request: Request, target: string): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    const { method, headers } = request;
    const init = { method, headers, redirect: "manual" } as const;
    const response =
      this.#status === undefined
        ? await fetch(`${target}${pathname}${search}`, init)
        : new Response("set to fail\n", { status: this.#status });
    this.add({
      method,
      path: pathname,
      credentials: namedBy(headers.get("authorization")),
      agent: headers.get("user-agent") ?? "",
      status: response.status,
    });
    // As a whole, so that it has a length: the images are small.
    const body = method === "HEAD" ? null : await response.arrayBuffer();
    return new Response(body, { status: response.status, headers: response.headers });
  }
}

export function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

/** The scheme of an Authorization header and whom it names. */
export function namedBy(authorization: string | null | undefined): string {
  const [, scheme = "", text = ""] = /^(\S+) (\S+)$/.exec(authorization ?? "") ?? [];
  switch (scheme.toLowerCase()) {
    case "":
      return "none";
    case "basic": {
      const [user = ""] = Buffer.from(text, "base64").toString().split(":");
      return user === "" ? "Basic of nobody" : `Basic ${user}`;
    }
    case "bearer": {
      const subject = subjectOf(text);
      return subject === undefined ? "Bearer" : `Bearer ${subject || "of nobody"}`;
    }
    default:
      return scheme;
  }
}

/** Undefined for a token that is no JWT. */
function subjectOf(token: string): string | undefined {
  try {
    const claims: unknown = JSON.parse(
      Buffer.from(token.split(".")[1] ?? "", "base64url").toString(),
    );
    const isNamed = typeof claims === "object" && claims !== null && "sub" in claims;
    return isNamed ? String(claims.sub) : undefined;
  } catch {
    return undefined;
  }
}
