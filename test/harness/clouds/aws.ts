import { randomUUID } from "node:crypto";
import { signatureProblem } from "./signed-request.ts";
import { claimsOf, CloudStandIn, type CloudStandInOptions } from "./stand-in.ts";

const INSTANCE = "/latest/meta-data/iam/security-credentials/";
const ROLE = "entrepot-node";

export interface AwsStandInOptions extends CloudStandInOptions {
  readonly region?: string;
  readonly service?: "ecr" | "ecr-public";
  /** Called with each token of ECR, before it is sent. */
  readonly onIssued?: (user: string, token: string) => Promise<void>;
}

/** AWS: the metadata of an instance (IMDSv2), EKS Pod Identity's agent, STS and ECR, at one address. */
export class AwsStandIn extends CloudStandIn {
  static readonly roleArn = "arn:aws:iam::123456789012:role/entrepot";
  /** The token that the agent of EKS Pod Identity accepts. */
  readonly podToken = `pod.${randomUUID()}`;
  /** How far its clock is ahead, in milliseconds. */
  skew = 0;
  /** How long its tokens are valid, in milliseconds. */
  lifetime = 12 * 3_600_000;
  readonly #keys = new Map<string, { secret: string; session?: string }>();
  readonly #sessions = new Map<string, number>();
  readonly #options: AwsStandInOptions;

  constructor(options: AwsStandInOptions = {}) {
    super(options);
    this.#options = options;
  }

  /** Long-lived keys of a user. */
  userKeys(): { id: string; secret: string } {
    const [id, secret] = [`AKIA${this.#keys.size}`, `s+/${randomUUID()}=`];
    this.#keys.set(id, { secret });
    return { id, secret };
  }

  protected answer(request: Request, body: string): Response | Promise<Response> {
    const { pathname } = new URL(request.url);
    const { headers } = request;
    if (pathname === "/latest/api/token") return this.#openSession(request);
    if (pathname.startsWith(INSTANCE)) {
      const end = this.#sessions.get(headers.get("x-aws-ec2-metadata-token") ?? "") ?? 0;
      if (end < Date.now()) return new Response("", { status: 401 });
      if (pathname === INSTANCE) return new Response(ROLE);
      if (pathname !== `${INSTANCE}${ROLE}`) return new Response("", { status: 404 });
      return Response.json({ Code: "Success", Type: "AWS-HMAC", ...this.#temporaryKeys() });
    }
    if (pathname === "/v1/credentials") {
      return headers.get("authorization") === this.podToken
        ? Response.json({ AccountId: "123456789012", ...this.#temporaryKeys() })
        : Response.json({ code: "AccessDeniedException", message: "no" }, { status: 400 });
    }
    if (pathname !== "/" || request.method !== "POST") return new Response("", { status: 404 });
    return headers.get("content-type") === "application/x-amz-json-1.1"
      ? this.#issue(request, body)
      : this.#assumeRole(new URLSearchParams(body));
  }

  #openSession({ method, headers }: Request): Response {
    const seconds = Number(headers.get("x-aws-ec2-metadata-token-ttl-seconds"));
    if (method !== "PUT") return new Response("", { status: 405 });
    if (!(seconds >= 1 && seconds <= 21_600)) return new Response("", { status: 400 });
    // What a proxy sends on gets no session.
    if (headers.has("x-forwarded-for")) return new Response("", { status: 403 });
    const session = randomUUID();
    this.#sessions.set(session, Date.now() + seconds * 1000);
    return new Response(session);
  }

  #temporaryKeys() {
    const [AccessKeyId, SecretAccessKey, Token] = [
      `ASIA${this.#keys.size}`,
      `t+/${randomUUID()}=`,
      `session/${randomUUID()}==`,
    ];
    this.#keys.set(AccessKeyId, { secret: SecretAccessKey, session: Token });
    const Expiration = new Date(Date.now() + 3_600_000).toISOString();
    return { AccessKeyId, SecretAccessKey, Token, Expiration };
  }

  #assumeRole(form: URLSearchParams): Response {
    const { aud, exp } = claimsOf(form.get("WebIdentityToken") ?? "");
    const refuse = (code: string, status = 400) =>
      new Response(`<ErrorResponse><Error><Code>${code}</Code></Error></ErrorResponse>`, {
        status,
      });
    if (form.get("Action") !== "AssumeRoleWithWebIdentity") return refuse("InvalidAction");
    if (form.get("Version") !== "2011-06-15") return refuse("NoSuchVersion");
    if (!/^[\w+=,.@-]{2,64}$/.test(form.get("RoleSessionName") ?? "")) {
      return refuse("ValidationError");
    }
    if (aud !== "sts.amazonaws.com") return refuse("InvalidIdentityToken");
    if (typeof exp !== "number" || exp * 1000 < Date.now()) return refuse("ExpiredTokenException");
    if (form.get("RoleArn") !== AwsStandIn.roleArn) return refuse("AccessDenied", 403);
    const { AccessKeyId, SecretAccessKey, Token, Expiration } = this.#temporaryKeys();
    return new Response(
      `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>${AccessKeyId}</AccessKeyId><SecretAccessKey>${SecretAccessKey}</SecretAccessKey><SessionToken>${Token}</SessionToken><Expiration>${Expiration}</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
      { headers: { "content-type": "text/xml" } },
    );
  }

  async #issue(request: Request, body: string): Promise<Response> {
    const { region = "eu-central-1", service = "ecr", onIssued } = this.#options;
    const now = Date.now() + this.skew;
    const headers = { date: new Date(now).toUTCString() };
    const refuse = (code: string) =>
      Response.json({ __type: code, message: "no" }, { status: 400, headers });
    const target =
      service === "ecr" ? "AmazonEC2ContainerRegistry_V20150921" : "SpencerFrontendService";
    if (request.headers.get("x-amz-target") !== `${target}.GetAuthorizationToken`) {
      return refuse("UnknownOperationException");
    }
    const problem = signatureProblem(request, body, { region, service, keys: this.#keys, now });
    if (problem !== undefined) return refuse(problem);
    // bcrypt, with which registries of the tests compare them, takes 72 bytes.
    const token = Buffer.from(JSON.stringify({ payload: randomUUID() }));
    const password = token.toString("base64");
    await onIssued?.("AWS", password);
    const data = {
      authorizationToken: Buffer.from(`AWS:${password}`).toString("base64"),
      expiresAt: (now + this.lifetime) / 1000,
      proxyEndpoint: `https://123456789012.dkr.ecr.${region}.amazonaws.com`,
    };
    const authorizationData = service === "ecr" ? [data] : data;
    return Response.json({ authorizationData }, { headers });
  }
}
