import type { UpstreamSettings } from "../config/settings.ts";
import { Fault } from "../oci/fault.ts";
import { ManifestError, type Manifest, parseManifest } from "../oci/manifest.ts";
import { bareMediaType } from "../oci/media-types.ts";
import { type BodyEnd, discard, readSmall } from "./transport/response-body.ts";
import type { DialResponse } from "./transport/dialer.ts";
import { roundTrip, type RegistryRequest } from "./round-trip.ts";
import {
  ANONYMOUS,
  reportCorrupt,
  circuitFor,
  limitKind,
  type Host,
  type Hosts,
  blockedBy,
} from "./hosts.ts";
import { QUIRKS } from "./quirks.ts";
import { type RequestSubject, faultFromStatus } from "./transport/status-fault.ts";
import type { RegistryTransport } from "./registry-transport.ts";

/** For a body that is read into memory, from its headers to its end. In milliseconds. */
const SMALL_BODY_DEADLINE = 30_000;
/** What a large body has to bring before it breaks, in bytes, so that there is a point in asking the registry again. */
const WORTH_IT = 1024 * 1024;
/** The part of the patience that one mirror gets: what comes after it needs time as well. */
const MIRROR_PATIENCE = 1 / 3;

/** A question to whichever of an upstream's addresses answers it. */
export interface HostRequest extends Omit<RegistryRequest, "url"> {
  /** Below the address that is asked. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Only this address is asked, and there this very URL: the next page of a list. */
  readonly page?: { readonly host: Host; readonly url: URL };
}

/** An answer, and who gave it. */
export interface HostResponse extends DialResponse {
  readonly host: Host;
  readonly url: URL;
  /** How long a small body may take, in milliseconds. */
  readonly timeout: number;
}

/** Makes use of an answer of status 200 or 206; what it throws is the fault of who gave it. */
export type ResponseHandler<Value> = (answer: HostResponse) => Promise<Value>;

/**
 * Questions to one upstream whose answers can be used: anything else is a Fault, and the health and
 * limits of who was asked know. Mirrors come first; what they lack or fail is asked of the next, and
 * what is told in the end is what the upstream's own address said.
 */
export class Failover {
  readonly #hosts: Hosts;
  readonly #transport: RegistryTransport;
  #settings: UpstreamSettings;

  constructor(settings: UpstreamSettings, transport: RegistryTransport, hosts: Hosts) {
    this.#settings = settings;
    this.#transport = transport;
    this.#hosts = hosts;
  }

  configure(settings: UpstreamSettings): void {
    this.#settings = settings;
    this.#hosts.configure(settings);
  }

  /** @returns what was made of the first answer that could be used */
  async send<Value>(
    asked: Omit<RequestSubject, "upstream">,
    question: HostRequest,
    use: ResponseHandler<Value>,
  ): Promise<Value> {
    const { page } = question;
    if (page) {
      const { timeout: patience } = this.#transport;
      return this.#askHost(page.host, asked, { ...question, url: page.url, patience }, use);
    }
    const deadline = performance.now() + this.#transport.timeout;
    let told: Fault | undefined;
    const doubted = new Map<Host, Fault>();
    for (const host of this.#hosts.all) {
      const left = deadline - performance.now();
      // A mirror that failed a moment ago has others beside it; the upstream itself has none.
      if (host.isMirror && circuitFor(host, question.request).isUnhealthy()) continue;
      if (!host.resolves && isByName(question)) continue;
      const reserved = blockedBy(host, this.#who, question.request);
      if (reserved) {
        told = reserved;
        continue;
      }
      try {
        const share = host.isMirror ? this.#transport.timeout * MIRROR_PATIENCE : left;
        const url = below(host, question);
        const patience = Math.min(share, left);
        const value = await this.#askHost(host, asked, { ...question, url, patience }, use);
        for (const [mirror, fault] of doubted)
          reportCorrupt(mirror, fault, this.#transport.observe);
        return value;
      } catch (error) {
        if (!host.isMirror || !(error instanceof Fault)) throw error;
        if (isOfForm(error)) doubted.set(host, error);
        told = error;
      }
    }
    throw told ?? this.invalidResponse("no address to ask");
  }

  /** Reads the whole of an answer that is no part of something. */
  async read(answer: HostResponse, what: string, limit: number): Promise<Uint8Array<ArrayBuffer>> {
    if (answer.status !== 200) {
      await answer.body?.cancel();
      throw this.invalidResponse(`a part of ${what} where the whole was asked for`);
    }
    const upstream = this.#settings.name;
    return readSmall(answer.body, { upstream, what, limit, deadline: answer.timeout });
  }

  /** What a manifest says. */
  manifest({ headers }: HostResponse, bytes: Uint8Array): Manifest {
    try {
      return parseManifest(bytes, bareMediaType(headers.get("content-type")));
    } catch (error) {
      if (!(error instanceof ManifestError)) throw error;
      throw this.invalidResponse(`the manifest is not valid: ${error.message}`, error);
    }
  }

  invalidResponse(reason: string, cause?: ManifestError): Fault {
    const upstream = this.#settings.name;
    return new Fault({ kind: "upstream-invalid-response", upstream, reason }, { cause });
  }

  get #who(): string {
    return this.#transport.keyring.identity(this.#settings.name);
  }

  #askHost<Value>(
    host: Host,
    asked: Omit<RequestSubject, "upstream">,
    question: HostRequest & { readonly url: URL; readonly patience: number },
    use: ResponseHandler<Value>,
  ): Promise<Value> {
    const { name } = this.#settings;
    return this.#watched(host, question.request, async () => {
      const { path: _, query: __, page: ___, patience, ...rest } = question;
      const answer = await roundTrip(
        host.settings,
        { ...this.#transport, timeout: patience },
        rest,
      );
      const { status, headers } = answer;
      // Known only now: a helper may have been asked on the way.
      const who = host.isMirror ? ANONYMOUS : this.#who;
      // A storage has limits of its own, which are not the registry's.
      if (limitKind(question.request) === "metadata") host.limits.readHeaders(who, headers);
      if (status !== 200 && status !== 206) {
        await discard(answer.body);
        const credentials = this.#credentialState(host);
        throw faultFromStatus(status, headers, { upstream: name, ...asked, credentials });
      }
      if (bareMediaType(headers.get("content-type")) === QUIRKS.webPageMediaType) {
        await answer.body?.cancel();
        throw this.invalidResponse(`a web page in place of ${asked.what} ${asked.name}`);
      }
      if (question.slot === "blob") void answer.ended.then((end) => noteBody(host, end));
      const forBody = host.isMirror ? patience : SMALL_BODY_DEADLINE;
      return use({ ...answer, host, url: question.url, timeout: forBody });
    });
  }

  #credentialState(host: Host): "none" | "used" | "refused" {
    const { keyring } = this.#transport;
    if (!host.settings.credentials) return "none";
    return keyring.status(host.settings).state === "refused" ? "refused" : "used";
  }

  async #watched<T>(
    host: Host,
    request: RegistryRequest["request"],
    work: () => Promise<T>,
  ): Promise<T> {
    const circuit = circuitFor(host, request);
    const kind = limitKind(request);
    // Asked for when it is needed: a helper may have been asked on the way.
    const who = (): string => (host.isMirror ? ANONYMOUS : this.#who);
    try {
      const result = await work();
      circuit.succeeded();
      if (kind === "metadata") host.limits.passed(who());
      return result;
    } catch (error) {
      if (!(error instanceof Fault)) {
        circuit.abandoned();
        throw error;
      }
      if (error.detail.kind === "upstream-invalid-response" && !isOfForm(error))
        reportCorrupt(host, error, this.#transport.observe);
      circuit.failed(error);
      const { detail } = error;
      if (detail.kind === "upstream-rate-limited")
        host.limits.limited(who(), kind, detail.retryAfter);
      if (detail.kind === "not-found" && kind === "metadata") host.limits.passed(who());
      throw error;
    }
  }
}

/**
 * A mirror has others beside it, which may do better. Of the registry itself only what brings nothing
 * counts: a download goes on at its offset, and comes to its end that way.
 */
function noteBody({ blobCircuit: blobs, isMirror }: Host, { how, bytes, fault }: BodyEnd): void {
  if (how === "whole") blobs.bodyCompleted();
  if (fault && (isMirror || bytes < WORTH_IT)) blobs.bodyBroke(fault);
}

/**
 * A manifest whose form is wrong may be what was pushed. Who sent it lied only if somebody else has
 * another one.
 */
function isOfForm({ cause }: Fault): boolean {
  return cause instanceof ManifestError;
}

/** Below a host's address; the names in a path were checked, so nothing in it needs escaping. */
function below(host: Host, { repository, path, query = {} }: HostRequest): URL {
  const url = new URL(host.settings.url);
  const base = url.pathname.replace(/\/+$/, "");
  url.pathname = `${base}${host.overridePath ? "" : "/v2"}/${repository}/${path}`;
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  return url;
}

/** Whether an answer has to be believed: content proves itself by its digest, which has a colon as no tag has. */
function isByName({ path }: HostRequest): boolean {
  return !path.includes(":") || path.startsWith("referrers/");
}
