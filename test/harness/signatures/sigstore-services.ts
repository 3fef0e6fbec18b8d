import { createHash, createPublicKey } from "node:crypto";
import { decodeJwt } from "jose";
import { z } from "zod";
import { CertificateLog } from "./certificate-log.ts";
import { CertificateMaker, pemOf, spki } from "./certificate-maker.ts";
import { type LogEntry, TransparencyLog } from "./transparency-log.ts";

const START = new Date(0).toISOString();

const certificateRequest = z.object({
  publicKeyRequest: z.object({ publicKey: z.object({ content: z.string() }) }),
});

const hashedRekord = z.looseObject({ kind: z.literal("hashedrekord") });
const dsse = z.object({
  kind: z.literal("dsse"),
  spec: z.object({
    proposedContent: z.object({ envelope: z.string(), verifiers: z.tuple([z.string()]) }),
  }),
});

const envelopeSchema = z.looseObject({
  payload: z.string(),
  signatures: z.tuple([z.looseObject({ sig: z.string() })]),
});

/**
 * A Fulcio and a Rekor of the test's own, as cosign asks them: certificates for whom a token names, logged and with
 * their timestamps; entries with a promise and a proof. Tokens are believed unverified.
 */
export class SigstoreServices implements AsyncDisposable {
  readonly authority = new CertificateMaker();
  readonly certificateLog = new CertificateLog();
  readonly log: TransparencyLog;
  readonly #server: Bun.Server<undefined>;
  /** When entries are integrated, and certificates begin; the current time, if absent. */
  clock: (() => number) | undefined;

  constructor() {
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: (request) => this.#answer(request),
    });
    this.log = new TransparencyLog("127.0.0.1", () => this.#now());
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}`;
  }

  /** trusted_root.json, with all of its parts. */
  trustRoot(): Readonly<Record<string, unknown>> {
    const validFor = { start: START };
    const key = (of: { readonly keys: { readonly publicKey: Parameters<typeof spki>[0] } }) => ({
      rawBytes: spki(of.keys.publicKey).toString("base64"),
      keyDetails: "PKIX_ECDSA_P256_SHA_256",
      validFor,
    });
    const logOf = (log: TransparencyLog | CertificateLog) => ({
      baseUrl: this.url,
      hashAlgorithm: "SHA2_256",
      publicKey: key(log),
      logId: { keyId: log.id.toString("base64") },
    });
    return {
      mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
      tlogs: [logOf(this.log)],
      certificateAuthorities: [
        {
          subject: { organization: "test", commonName: "fulcio.test" },
          uri: this.url,
          certChain: {
            certificates: this.authority.chain.map((der) => ({
              rawBytes: der.toString("base64"),
            })),
          },
          validFor,
        },
      ],
      ctlogs: [logOf(this.certificateLog)],
      timestampAuthorities: [],
    };
  }

  /** The signing configuration of cosign 3. */
  signingConfig(): object {
    const service = {
      url: this.url,
      majorApiVersion: 1,
      validFor: { start: START },
      operator: "test",
    };
    return {
      mediaType: "application/vnd.dev.sigstore.signingconfig.v0.2+json",
      caUrls: [service],
      oidcUrls: [service],
      rekorTlogUrls: [service],
      rekorTlogConfig: { selector: "ANY" },
      tsaConfig: {},
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }

  #now(): number {
    return this.clock?.() ?? Date.now();
  }

  async #answer(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (request.method !== "POST") return new Response("no such thing", { status: 404 });
    const body: unknown = await request.json();
    if (pathname === "/api/v2/signingCert") {
      const token = request.headers.get("authorization")?.replace(/^Bearer /, "") ?? "";
      return this.#certify(token, body);
    }
    if (pathname === "/api/v1/log/entries") return this.#record(body);
    return new Response("no such thing", { status: 404 });
  }

  #certify(token: string, body: unknown): Response {
    const { publicKeyRequest } = certificateRequest.parse(body);
    const { iss = "", sub = "", email } = decodeJwt<{ email?: string }>(token);
    const certificate = this.authority.issue({
      publicKey: createPublicKey(publicKeyRequest.publicKey.content),
      issuer: iss,
      subject: email ?? sub,
      from: new Date(this.#now()),
      log: this.certificateLog,
    });
    const certificates = [certificate, ...this.authority.chain].map((der) => pemOf(der));
    return Response.json({ signedCertificateEmbeddedSct: { chain: { certificates } } });
  }

  #record(body: unknown): Response {
    const rekord = hashedRekord.safeParse(body);
    const entry = rekord.success ? rekord.data : canonicalEnvelope(dsse.parse(body));
    const logged: LogEntry = this.log.add(entry);
    const id = createHash("sha256").update(logged.body).digest("hex");
    return Response.json(
      { [id]: logged },
      { status: 201, headers: { etag: id, location: `/api/v1/log/entries/${id}` } },
    );
  }
}

/** What Rekor keeps of an envelope: hashes, the signature and who verifies it. */
function canonicalEnvelope({ spec }: z.infer<typeof dsse>): object {
  const { envelope: text, verifiers } = spec.proposedContent;
  const { payload, signatures } = envelopeSchema.parse(JSON.parse(text));
  const hashOf = (bytes: Uint8Array) => ({
    algorithm: "sha256",
    value: createHash("sha256").update(bytes).digest("hex"),
  });
  return {
    apiVersion: "0.0.1",
    kind: "dsse",
    spec: {
      envelopeHash: hashOf(Buffer.from(text)),
      payloadHash: hashOf(Buffer.from(payload, "base64")),
      signatures: [{ signature: signatures[0].sig, verifier: verifiers[0] }],
    },
  };
}
