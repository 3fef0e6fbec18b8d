import type { Certificate } from "../services/certificates.ts";
import { type Content, contentOf } from "../images/content.ts";
import type { Fault } from "../faults/faults.ts";
import type { Image } from "../images/images.ts";
import { InMemoryRegistry, type RegistryResponse } from "./in-memory-registry.ts";
import { parseUpstreamRequest, type UpstreamRequest } from "./upstream-request.ts";
import { Gate } from "../waiting.ts";
import {
  type SendResponse,
  type Outcome,
  type RawRequest,
  RawHttpServer,
} from "./raw-http-server.ts";

/** A request and its outcome; it is updated while the response is sent. */
export interface RecordedRequest extends UpstreamRequest {
  /** When it arrived, in milliseconds of `performance.now()`. */
  readonly at: number;
  status: number | undefined;
  /** Bytes of the body that were sent. */
  sent: number;
  outcome: Outcome | "pending";
}

/** Chooses the fault of the response to a request; `undefined` for a correct response. */
export type Rule = (request: UpstreamRequest) => Fault | undefined | Promise<Fault | undefined>;

export interface ScriptedUpstreamOptions {
  readonly host?: string;
  /** Default: a port that the system chooses. */
  readonly port?: number;
  /** If present, it serves HTTPS with this certificate. */
  readonly certificate?: Certificate;
}

/** A registry with its content in memory and injected faults, down to the level of the socket. */
export class ScriptedUpstream implements AsyncDisposable {
  readonly #host: string;
  readonly #scheme: string;
  readonly #server: RawHttpServer;
  readonly #registry = new InMemoryRegistry();
  readonly #counts = new Map<string, number>();
  #rule: Rule = () => undefined;
  #requests: RecordedRequest[] = [];
  #stall = new Gate();

  constructor({ host = "127.0.0.1", port = 0, certificate }: ScriptedUpstreamOptions) {
    this.#host = host;
    this.#scheme = certificate ? "https" : "http";
    const secure = certificate && { key: certificate.key, cert: certificate.certificate };
    this.#server = new RawHttpServer(
      host,
      (request, sendResponse) => this.#serve(request, sendResponse),
      secure,
    );
    this.#server.port = port;
  }

  /** `host:port`, as in an image name. */
  get address(): string {
    return `${this.#host}:${this.#server.port}`;
  }

  get url(): string {
    return `${this.#scheme}://${this.address}`;
  }

  /** Currently open connections. */
  get connections(): number {
    return this.#server.open;
  }

  /** Connections accepted since it was created. */
  get accepted(): number {
    return this.#server.accepted;
  }

  /** Adds an image with all its blobs and manifests to a repository. */
  add(repository: string, image: Image, ...tags: readonly string[]): void {
    this.#registry.add(repository, image);
    for (const tag of tags) this.tag(repository, tag, image.manifest.digest);
  }

  addBlob(repository: string, content: Content): void {
    this.#registry.addBlob(repository, content);
  }

  /** Points a tag at a manifest; `undefined` deletes the tag. */
  tag(repository: string, tag: string, digest: string | undefined): void {
    this.#registry.tag(repository, tag, digest);
  }

  /** Deletes a blob or a manifest. */
  remove(repository: string, digest: string): void {
    this.#registry.remove(repository, digest);
  }

  /** Serves content at a path outside of /v2/: a token, a CDN's object. */
  addFile(path: string, content: Content | object): void {
    const isContent = "chunks" in content;
    this.#registry.addFile(path, isContent ? content : contentOf(content, "application/json"));
  }

  /**
   * Sets the rule for future requests; without an argument, removes it. Responses in progress do
   * not change.
   */
  respond(rule: Rule = () => undefined): void {
    this.#rule = rule;
  }

  /** Resumes every response that is stalled at this moment. */
  release(): void {
    this.#stall.open();
    this.#stall = new Gate();
  }

  /** The requests so far, or those that match. */
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

  /** Clears the recorded requests; `nth` restarts at 1. */
  forget(): void {
    this.#requests = [];
    this.#counts.clear();
  }

  /** Listens; after a `stop`, on the same port. */
  start(): Promise<void> {
    return this.#server.start();
  }

  /** Stops listening and closes all connections. */
  stop(): Promise<void> {
    return this.#server.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #serve(raw: RawRequest, sendResponse: SendResponse): Promise<void> {
    const path = raw.target.split("?", 1)[0];
    const key = `${raw.method} ${path}`;
    const nth = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, nth);
    const request = parseUpstreamRequest(raw, nth);
    const record: RecordedRequest = {
      ...request,
      at: performance.now(),
      status: undefined,
      sent: 0,
      outcome: "pending",
    };
    this.#requests.push(record);
    const fault = (await this.#rule(request)) ?? {};
    const correct = this.#registry.respond(request, fault.ignoreRange === true);
    const { status, headers, body } = applyFault(correct, fault);
    record.status = status;
    record.outcome = await sendResponse({
      status,
      headers,
      body,
      bodiless: request.method === "HEAD" || status === 304 || status === 204,
      delivery: fault,
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

interface FaultyResponse {
  readonly status: number;
  readonly headers: [string, string][];
  readonly body: Iterable<Uint8Array>;
}

/** The correct response with the fault applied. */
function applyFault(correct: RegistryResponse, fault: Fault): FaultyResponse {
  const replacement = fault.body === undefined ? undefined : contentOf(fault.body, "text/plain");
  const from = replacement ? 0 : correct.first;
  const end = (replacement ? replacement.size : correct.end) - (fault.shortenBy ?? 0);
  const content = replacement ?? correct.content;
  const headers = new Map(Object.entries(correct.headers));
  headers.set("Content-Length", String(fault.contentLength ?? end - from));
  for (const [name, value] of Object.entries(fault.headers ?? {})) {
    if (value === undefined) headers.delete(name);
    else headers.set(name, value);
  }
  return {
    status: fault.status ?? correct.status,
    headers: [...headers],
    body: sliceContent(content, from, end, fault.flipBitAt),
  };
}

/**
 * The bytes of the content from `first` up to `end`, exclusive, with one bit of byte `flipBitAt`
 * flipped.
 */
function* sliceContent(
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
      const isFlipped = at >= start && at < stop;
      const bytes = isFlipped ? chunk.slice() : chunk;
      if (isFlipped) bytes[at] = (bytes[at] ?? 0) ^ 1;
      yield bytes.subarray(start, stop);
    }
    position += chunk.length;
    if (position >= end) return;
  }
}
