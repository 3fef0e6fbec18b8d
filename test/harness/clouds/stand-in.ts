/** What a stand-in was asked. */
export interface AskedCloud {
  readonly method: string;
  readonly path: string;
}

export interface CloudStandInOptions {
  readonly port?: number;
  /** It then speaks HTTPS; in PEM. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

type Answer = Response | Promise<Response>;

/** An HTTP server that speaks a cloud's documented protocol; faults are injected before it decides. */
export abstract class CloudStandIn implements AsyncDisposable {
  readonly asked: AskedCloud[] = [];
  #fault: ((request: Request) => Answer | undefined) | undefined;
  readonly #server: Bun.Server<undefined>;

  constructor({ port = 0, tls }: CloudStandInOptions = {}) {
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port,
      ...(tls ? { tls } : {}),
      fetch: async (request) => {
        const { pathname } = new URL(request.url);
        this.asked.push({ method: request.method, path: pathname });
        const body = await request.text();
        return (await this.#fault?.(request)) ?? this.answer(request, body);
      },
    });
  }

  get host(): string {
    return `127.0.0.1:${this.#server.port}`;
  }

  get url(): string {
    return this.#server.url.origin;
  }

  /** How often a path was asked for. */
  count(path: string): number {
    return this.asked.filter((one) => one.path === path).length;
  }

  /** Injects faults; without an argument, none. */
  fails(fault?: (request: Request) => Answer | undefined): void {
    this.#fault = fault;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }

  protected abstract answer(request: Request, body: string): Answer;
}

/** The claims of a JSON Web Token, which is not verified. */
export function claimsOf(token: string): Readonly<Record<string, unknown>> {
  const text = Buffer.from(token.split(".")[1] ?? "", "base64url").toString();
  const claims: unknown = text === "" ? {} : JSON.parse(text);
  return typeof claims === "object" && claims !== null ? { ...claims } : {};
}

/** A service account's token, as a cluster projects it: with these claims, signed by nobody. */
export function projectedToken(claims: object): string {
  const parts = [{ alg: "RS256", typ: "JWT" }, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString("base64url"),
  );
  return [...parts, "c2lnbmF0dXJl"].join(".");
}

/** What a promise is rejected with, as text. */
export async function failureOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "no failure",
    (error: unknown) => String(error),
  );
}
