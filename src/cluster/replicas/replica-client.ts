import { secondsText } from "../../oci/seconds-text.ts";
import { systemCode } from "../../store/storage-fault.ts";
import { version } from "../../version.ts";
import type { ByteBudget } from "../../process/byte-budget.ts";
import { type Downloads, LocalDownloads } from "../../upstream/http1/downloads.ts";
import type { BodyReader, GetResponse } from "../../upstream/http1/get.ts";
import { HttpSyntaxError } from "../../upstream/http1/syntax-error.ts";
import type { ClusterIdentity } from "../../config/cluster-settings.ts";
import type { Member } from "../members/members.ts";
import type { Failure, MemberProblemKind, PingResult } from "../members/member-health.ts";
import { HEADERS, MAX_MEMBERS_BYTES, parseMembers, provenParts, ROOT } from "./protocol.ts";
import type { Signatures } from "./signature.ts";

/** What answers at a member's address is of no use, for a reason that an operator has to mend. */
class UnfitError extends Error {
  constructor(
    readonly kind: MemberProblemKind,
    message: string,
  ) {
    super(message);
  }
}

export interface ReplicaClientOptions {
  readonly signatures: Signatures;
  readonly instance: string;
  /** Of this replica, as it is known at the moment. */
  readonly self: () => Member;
  readonly tls?: ClusterIdentity | undefined;
  /** For what is received and not written yet. */
  readonly budget: ByteBudget;
}

/** Asks other replicas. */
export class ReplicaClient implements Disposable {
  readonly #options: ReplicaClientOptions;
  readonly #connections = new Map<string, Downloads>();
  #tls: ClusterIdentity | undefined;

  constructor(options: ReplicaClientOptions) {
    this.#options = options;
    this.#tls = options.tls;
  }

  /** Changes whose certificates are trusted. Requests in flight go on. */
  configure(tls: ClusterIdentity | undefined): void {
    this.#tls = tls;
    this[Symbol.dispose]();
    this.#connections.clear();
  }

  /**
   * Sends a signed request, and checks that a replica of this cluster answers it.
   *
   * @param lends whether each chunk of the body is used only until the next one is read
   * @throws Error, of which `failureOf` says what it means; the signal's reason if it is aborted
   */
  async get(
    { url }: Member,
    target: string,
    signal: AbortSignal,
    { range = "", lends = false } = {},
  ): Promise<GetResponse> {
    const { signatures, instance, self } = this.#options;
    const asker = `${self().id} ${instance}`;
    const authorization = signatures.sign({ method: "GET", target, range, asker });
    const host = url.hostname.replaceAll(/[[\]]/g, "");
    const port = Number(url.port) || (url.protocol === "https:" ? 443 : 80);
    const response = await this.#connectionsOf(url).get({
      endpoint: { ip: host, port, host },
      url: new URL(target, url),
      headers: {
        host: url.host,
        authorization,
        [HEADERS.replica]: asker,
        ...(range === "" ? {} : { range }),
      },
      signal,
      lends,
    });
    const proof = response.headers.get(HEADERS.proof);
    const isProven = signatures.isProof(
      proof,
      authorization,
      provenParts(response.status, response.headers),
    );
    if (isProven && response.status !== 401) return response;
    await response.body.cancel();
    throw unfit(response, isProven);
  }

  /** Asks a member whether it is alive. Never rejects. */
  async ping(member: Member, signal: AbortSignal): Promise<PingResult> {
    try {
      const { status, headers, body } = await this.get(member, `${ROOT}/ping`, signal);
      const members = parseMembers(await readBody(body, MAX_MEMBERS_BYTES));
      const [, instance] = headers.get(HEADERS.replica)?.split(" ") ?? [];
      if (status === 200 && instance !== undefined) {
        const said = headers.get("server")?.replace(/^entrepot\//, "") ?? version;
        return {
          kind: "alive",
          greeting: { instance, version: said, ...(members && { members }) },
        };
      }
      const isStopping = status === 503;
      return { kind: "silent-member", reason: isStopping ? "it stops" : `it returned ${status}` };
    } catch (error) {
      return failureOf(error);
    }
  }

  [Symbol.dispose](): void {
    for (const connections of this.#connections.values()) connections.close();
  }

  #connectionsOf({ origin, protocol }: URL): Downloads {
    const known = this.#connections.get(origin);
    if (known) return known;
    const ca = this.#tls?.ca;
    const secure = ca === undefined ? {} : { ca };
    const opened = new LocalDownloads(
      this.#options.budget,
      protocol === "https:" ? secure : undefined,
    );
    this.#connections.set(origin, opened);
    return opened;
  }
}

/** What a failed request says of a member. */
export function failureOf(error: unknown): Failure {
  const reason = error instanceof Error ? error.message : String(error);
  if (error instanceof UnfitError) return { kind: error.kind, reason };
  // Something else listens there: SSH, a database.
  if (error instanceof HttpSyntaxError) {
    return { kind: "foreign-member", reason: "what it answers is no HTTP" };
  }
  const code = systemCode(error) ?? "";
  const isCertificate = /CERT|ALTNAME|UNABLE_TO_/.test(code);
  const said = REASONS[code] ?? (isCertificate ? "its CA is not trusted here" : "");
  const text = said === "" ? code || reason : `${said} (${code})`;
  if (isCertificate) return { kind: "member-certificate", reason: text };
  return { kind: "silent-member", reason: isTimeout(error) ? "no answer in time" : text };
}

/** What the codes of sockets and of TLS mean. */
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ECONNRESET: "it closed the connection",
  EPIPE: "it closed the connection",
  ENOTFOUND: "its name has no address",
  EAI_AGAIN: "its name cannot be resolved now",
  EHOSTUNREACH: "it cannot be routed to from this machine",
  ENETUNREACH: "it cannot be routed to from this machine",
  EPROTO: "it does not speak TLS",
  ERR_TLS_CERT_ALTNAME_INVALID: "it is for another name",
  CERT_HAS_EXPIRED: "it has expired",
  CERT_NOT_YET_VALID: "it is not valid yet: are the clocks right?",
};

export function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === "TimeoutError";
}

function unfit({ status, headers }: GetResponse, isProven: boolean): UnfitError {
  const refusal = headers.get(HEADERS.refusal) ?? "";
  const skew = isProven ? /^clock (-?\d{1,15})$/.exec(refusal)?.[1] : undefined;
  if (skew !== undefined) {
    const seconds = secondsText(Math.round(Math.abs(Number(skew)) / 1000));
    const way = Number(skew) > 0 ? "ahead of" : "behind";
    return new UnfitError("clock", `this machine is ${seconds} ${way} it`);
  }
  return status === 401 && headers.has(HEADERS.replica)
    ? new UnfitError("wrong-secret", "401")
    : new UnfitError("foreign-member", `it returned ${status} without a valid signature`);
}

/** The whole body, if it is no longer than that. */
export async function readBody(
  body: BodyReader,
  limit: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const next = await body.read();
    if (next.done) return new Uint8Array(Buffer.concat(chunks));
    length += next.value.byteLength;
    if (length > limit) {
      await body.cancel();
      return undefined;
    }
    chunks.push(next.value);
  }
}
