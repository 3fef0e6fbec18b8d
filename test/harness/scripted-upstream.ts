import type { Certificate } from "./certificates.ts";
import { type Content, contentOf } from "./content.ts";
import type { Fault } from "./faults.ts";
import type { Image } from "./images.ts";
import { Shelf, type ShelfAnswer } from "./in-memory-registry.ts";
import { understand, type UpstreamRequest } from "./upstream-request.ts";
import { Gate } from "./waiting.ts";
import { type Answer, type Outcome, type WireRequest, WireServer } from "./raw-http-server.ts";

/** A request and what became of it; it changes while its answer is under way. */
export interface RecordedRequest extends UpstreamRequest {
  /** When it came, on performance.now's clock. */
  readonly at: number;
  status: number | undefined;
  /** Bytes of the body that went out. */
  sent: number;
  outcome: Outcome | "pending";
}

/** Says what is wrong with the answer to a request; nothing where it is to be true. */
export type Rule = (request: UpstreamRequest) => Fault | undefined | Promise<Fault | undefined>;

export interface ScriptedUpstreamOptions {
  readonly host?: string;
  /** One that the system chooses, unless said. */
  readonly port?: number;
  /** It then speaks https with this certificate. */
  readonly certificate?: Certificate;
}

/** A registry that holds its content in memory and breaks as it is told, down to the socket. */
export class ScriptedUpstream implements AsyncDisposable {
  readonly #host: string;
  readonly #scheme: string;
  readonly #server: WireServer;
  readonly #shelf = new Shelf();
  readonly #counts = new Map<string, number>();
  #rule: Rule = () => undefined;
  #requests: RecordedRequest[] = [];
  #stall = new Gate();

  constructor({ host = "127.0.0.1", port = 0, certificate }: ScriptedUpstreamOptions) {
    this.#host = host;
    this.#scheme = certificate ? "https" : "http";
    const secure = certificate && { key: certificate.key, cert: certificate.certificate };
    this.#server = new WireServer(host, (request, answer) => this.#serve(request, answer), secure);
    this.#server.port = port;
  }

  /** `host:port`, as it stands in an image's name. */
  get address(): string {
    return `${this.#host}:${this.#server.port}`;
  }

  get url(): string {
    return `${this.#scheme}://${this.address}`;
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#server.open;
  }

  /** Connections that were ever made. */
  get accepted(): number {
    return this.#server.accepted;
  }

  /** Puts an image with all that it is made of into a repository. */
  add(repository: string, image: Image, ...tags: readonly string[]): void {
    this.#shelf.add(repository, image);
    for (const tag of tags) this.tag(repository, tag, image.manifest.digest);
  }

  addBlob(repository: string, content: Content): void {
    this.#shelf.addBlob(repository, content);
  }

  /** Lets a tag point at a manifest; `undefined` takes the tag away. */
  tag(repository: string, tag: string, digest: string | undefined): void {
    this.#shelf.tag(repository, tag, digest);
  }

  /** Takes a blob or a manifest away. */
  remove(repository: string, digest: string): void {
    this.#shelf.remove(repository, digest);
  }

  /** Serves something under a path outside of /v2/: a token, a CDN's object. */
  addFile(path: string, content: Content | object): void {
    const isContent = "chunks" in content;
    this.#shelf.addFile(path, isContent ? content : contentOf(content, "application/json"));
  }

  /** What is wrong from now on; without a rule nothing is. Answers under way are not touched. */
  respond(rule: Rule = () => undefined): void {
    this.#rule = rule;
  }

  /** Lets every answer that stands still at this moment go on. */
  release(): void {
    this.#stall.open();
    this.#stall = new Gate();
  }

  /** Requests so far, or the ones that match. */
  requests(
    matching: Partial<Pick<UpstreamRequest, "method" | "kind" | "repository" | "reference">> = {},
  ): readonly RecordedRequest[] {
    const { method, kind, repository, reference } = matching;
    return this.#requests.filter(
      (one) =>
        (method === undefined || one.method === method) &&
        (kind === undefined || one.kind === kind) &&
        (repository === undefined || one.repository === repository) &&
        (reference === undefined || one.reference === reference),
    );
  }

  /** Forgets the requests, and `nth` begins at 1 again. */
  forget(): void {
    this.#requests = [];
    this.#counts.clear();
  }

  /** Listens again on the same port after `stop`. */
  start(): Promise<void> {
    return this.#server.start();
  }

  /** Refuses connections and ends the ones there are. */
  stop(): Promise<void> {
    return this.#server.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #serve(wire: WireRequest, answer: Answer): Promise<void> {
    const path = wire.target.split("?", 1)[0];
    const key = `${wire.method} ${path}`;
    const nth = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, nth);
    const request = understand(wire, nth);
    const record: RecordedRequest = {
      ...request,
      at: performance.now(),
      status: undefined,
      sent: 0,
      outcome: "pending",
    };
    this.#requests.push(record);
    const fault = (await this.#rule(request)) ?? {};
    const truth = this.#shelf.answer(request, fault.ignoreRange === true);
    const { status, headers, body } = distort(truth, fault);
    record.status = status;
    record.outcome = await answer({
      status,
      headers,
      body,
      bodiless: request.method === "HEAD" || status === 304 || status === 204,
      playback: fault,
      released: () => this.#stall.opened,
      onSent: (bytes) => (record.sent += bytes),
    });
  }
}

export async function startScriptedUpstream(
  options: ScriptedUpstreamOptions = {},
): Promise<ScriptedUpstream> {
  const upstream = new ScriptedUpstream(options);
  await upstream.start();
  return upstream;
}

interface Distorted {
  readonly status: number;
  readonly headers: [string, string][];
  readonly body: Iterable<Uint8Array>;
}

/** The true answer with a fault's lies put over it. */
function distort(truth: ShelfAnswer, fault: Fault): Distorted {
  const replaced = fault.body === undefined ? undefined : contentOf(fault.body, "text/plain");
  const from = replaced ? 0 : truth.first;
  const end = (replaced ? replaced.size : truth.end) - (fault.shortenBy ?? 0);
  const content = replaced ?? truth.content;
  const headers = new Map(Object.entries(truth.headers));
  headers.set("Content-Length", String(fault.contentLength ?? end - from));
  for (const [name, value] of Object.entries(fault.headers ?? {})) {
    if (value === undefined) headers.delete(name);
    else headers.set(name, value);
  }
  return {
    status: fault.status ?? truth.status,
    headers: [...headers],
    body: section(content, from, end, fault.flipBitAt),
  };
}

/** The bytes of a content from `first` up to `end`, one bit of them turned where that is asked. */
function* section(
  content: Content,
  first: number,
  end: number,
  flipBitAt = -1,
): Generator<Uint8Array> {
  let position = 0;
  for (const chunk of content.chunks()) {
    const [start, stop] = [Math.max(first - position, 0), Math.min(end - position, chunk.length)];
    if (start < stop) {
      const at = flipBitAt - position;
      const turned = at >= start && at < stop;
      const piece = turned ? chunk.slice() : chunk;
      if (turned) piece[at] = (piece[at] ?? 0) ^ 1;
      yield piece.subarray(start, stop);
    }
    position += chunk.length;
    if (position >= end) return;
  }
}
