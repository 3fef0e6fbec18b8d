import { afterAll, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { AwsStandIn } from "../../../../test/harness/clouds/aws.ts";
import { failureOf, projectedToken } from "../../../../test/harness/clouds/stand-in.ts";
import { makeCertificate } from "../../../../test/harness/services/certificates.ts";
import { tempDir } from "../../../../test/harness/temp-dir.ts";
import { awsRegistry } from "../../../config/cloud/aws-registry.ts";
import type { AwsCredentials } from "../../../config/cloud/cloud-credentials.ts";
import { issuedToken } from "../issued-credentials.ts";

const HOST = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
const dir = await tempDir("ecr");
afterAll(() => dir[Symbol.asyncDispose]());

/** As the configuration reads it, with AWS at the stand-in. */
function sourceOf(aws: AwsStandIn, env: Record<string, string>, host = HOST): AwsCredentials {
  const all = { AWS_ENDPOINT_URL: aws.url, AWS_EC2_METADATA_SERVICE_ENDPOINT: aws.url, ...env };
  const context = { host, env: all, readFile: () => "", hasFile: () => false };
  return { ...awsRegistry({}, context), connection: {}, from: "entrepot.yaml:1:1" };
}

async function tokenFile(claims: object): Promise<string> {
  const file = dir.file(`token-${Bun.randomUUIDv7()}`);
  await writeFile(file, `${projectedToken(claims)}\n`);
  return file;
}

const soon = () => Math.floor(Date.now() / 1000) + 3600;

const IDENTITIES: Readonly<
  Record<string, (aws: AwsStandIn) => Promise<Record<string, string>> | Record<string, string>>
> = {
  "the role of its instance": () => ({}),
  "keys of the environment": (aws) => {
    const { id, secret } = aws.userKeys();
    return { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret };
  },
  "a credentials file": async (aws) => {
    const { id, secret } = aws.userKeys();
    const file = dir.file("credentials");
    const text = `# mine\n[default]\naws_access_key_id = none\n[ work ]\naws_access_key_id=${id}\naws_secret_access_key = ${secret}\n`;
    await writeFile(file, text);
    return { AWS_SHARED_CREDENTIALS_FILE: file, AWS_PROFILE: "work" };
  },
  "the role of its service account": async () => ({
    AWS_WEB_IDENTITY_TOKEN_FILE: await tokenFile({ aud: "sts.amazonaws.com", exp: soon() }),
    AWS_ROLE_ARN: AwsStandIn.roleArn,
  }),
  "EKS Pod Identity": async (aws) => {
    const file = dir.file("pod-token");
    await writeFile(file, aws.podToken);
    return {
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${aws.url}/v1/credentials`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: file,
    };
  },
};

test.each(Object.keys(IDENTITIES))("a token is issued to %s", async (name) => {
  const issued: string[] = [];
  await using aws = new AwsStandIn({
    onIssued: async (user, token) => void issued.push(`${user}:${token}`),
  });
  const env = (await IDENTITIES[name]?.(aws)) ?? {};
  const { username, password, lifetime } = await issuedToken(sourceOf(aws, env));
  expect([`${username}:${password}`]).toEqual(issued);
  expect(Math.round(lifetime / 60_000)).toBe(720);
});

test("a token of ECR Public is asked for in its own region and service", async () => {
  await using aws = new AwsStandIn({ region: "us-east-1", service: "ecr-public" });
  const { username } = await issuedToken(sourceOf(aws, {}, "public.ecr.aws"));
  expect(username).toBe("AWS");
});

test.each([
  ["ahead", 3_600_000],
  ["behind", -3_600_000],
])("where AWS's clock is an hour %s, its time is signed, and counts", async (_, skew) => {
  await using aws = new AwsStandIn();
  aws.skew = skew;
  const { lifetime } = await issuedToken(sourceOf(aws, {}));
  expect(Math.round(lifetime / 60_000)).toBe(720);
});

test("a metadata server that is not ready yet is asked again", async () => {
  await using aws = new AwsStandIn();
  let early = 0;
  aws.fails(() => (early++ < 2 ? new Response("", { status: 503 }) : undefined));
  expect((await issuedToken(sourceOf(aws, {}))).username).toBe("AWS");
});

test("AWS that asks for fewer requests is asked again", async () => {
  await using aws = new AwsStandIn();
  let throttled = 0;
  aws.fails(({ headers }) =>
    headers.has("x-amz-target") && throttled++ < 2
      ? Response.json({ __type: "ThrottlingException" }, { status: 400 })
      : undefined,
  );
  expect((await issuedToken(sourceOf(aws, {}))).username).toBe("AWS");
  expect(throttled).toBe(3);
});

const hanging = Promise.withResolvers<void>();
afterAll(() => hanging.resolve());

const atEcr = (answer: () => Response) => (request: Request) =>
  request.headers.has("x-amz-target") ? answer() : undefined;
const awsError = (code: string, status = 400) =>
  Response.json({ __type: `com.amazon.coral.service#${code}`, message: "secret" }, { status });

test.each<[string, string, (request: Request) => Response | Promise<Response> | undefined]>([
  [
    "may not ask",
    "gives no token (AccessDeniedException): the identity needs ecr:GetAuthorizationToken",
    atEcr(() => awsError("AccessDeniedException")),
  ],
  [
    "has unknown keys",
    "(UnrecognizedClientException): the access keys are wrong",
    atEcr(() => awsError("UnrecognizedClientException")),
  ],
  [
    "gets a web page",
    "sent something other than a JSON object (200)",
    atEcr(() => new Response("<html>secret</html>")),
  ],
  [
    "gets something else",
    "sent no authorizationToken with expiresAt",
    atEcr(() => Response.json({ authorizationData: [{ authorizationToken: "secret" }] })),
  ],
  [
    "gets an expired token",
    "has expired already",
    atEcr(() =>
      Response.json({
        authorizationData: [{ authorizationToken: btoa("AWS:secret"), expiresAt: 1000 }],
      }),
    ),
  ],
  [
    "gets more than 64 KiB",
    "sent more than 65536 bytes",
    atEcr(() => new Response("x".repeat(70_000))),
  ],
  [
    "is sent elsewhere",
    "redirects (307), which is not followed",
    atEcr(() => Response.redirect("http://127.0.0.1:1/", 307)),
  ],
  ["meets a server that fails", "fails (503)", () => new Response("", { status: 503 })],
  [
    "meets a server that hangs",
    "did not answer within 2 s: outside of EC2, give keys by the environment",
    async () => {
      await hanging.promise;
      return new Response("");
    },
  ],
  [
    "meets a body that never ends",
    "did not answer within 2 s",
    () => new Response(new ReadableStream({ pull: () => hanging.promise })),
  ],
  [
    "has no role",
    "knows no role of this instance",
    ({ url }) =>
      url.endsWith("/security-credentials/") ? new Response("", { status: 404 }) : undefined,
  ],
  [
    "has a role of an odd name",
    "names no role (200)",
    ({ url }) =>
      url.endsWith("/security-credentials/") ? new Response("../../user-data") : undefined,
  ],
  [
    "is refused a session",
    "opens no session (IMDSv2) (403)",
    ({ method }) => (method === "PUT" ? new Response("", { status: 403 }) : undefined),
  ],
])("an identity that %s is told: %s", async (_, message, fault) => {
  await using aws = new AwsStandIn();
  aws.fails(fault);
  const error = await failureOf(issuedToken(sourceOf(aws, {}), 2500));
  expect(error).toContain(message);
  expect(error).toContain("CloudError: ");
  expect(error).not.toContain("secret");
});

test.each([
  [{ aud: "another", exp: soon() }, "(InvalidIdentityToken): the cluster's OIDC issuer must be"],
  [
    { aud: "sts.amazonaws.com", exp: 1000 },
    "(ExpiredTokenException): the token's file is no longer renewed",
  ],
])("a service account's token with %j is told", async (claims, message) => {
  await using aws = new AwsStandIn();
  const env = {
    AWS_WEB_IDENTITY_TOKEN_FILE: await tokenFile(claims),
    AWS_ROLE_ARN: AwsStandIn.roleArn,
  };
  expect(await failureOf(issuedToken(sourceOf(aws, env)))).toContain(message);
});

test("a role that another may assume is told with its trust policy", async () => {
  await using aws = new AwsStandIn();
  const env = {
    AWS_WEB_IDENTITY_TOKEN_FILE: await tokenFile({ aud: "sts.amazonaws.com", exp: soon() }),
    AWS_ROLE_ARN: "arn:aws:iam::1:role/another",
  };
  expect(await failureOf(issuedToken(sourceOf(aws, env)))).toContain(
    "(AccessDenied): the trust policy of arn:aws:iam::1:role/another must",
  );
});

test("the CA of the upstream is trusted for AWS too, and only then", async () => {
  const certificate = await makeCertificate(dir);
  const tls = { cert: certificate.certificate, key: certificate.key };
  await using aws = new AwsStandIn({ tls });
  const { id, secret } = aws.userKeys();
  const source = sourceOf(aws, { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret });
  expect(await failureOf(issuedToken(source, 300))).toContain("of a CA that is not trusted here");
  const trusted = { ...source, connection: { ca: certificate.certificate } };
  expect((await issuedToken(trusted)).username).toBe("AWS");
});

test("AWS is asked through the proxy of the upstream, and metadata never is", async () => {
  await using aws = new AwsStandIn();
  const proxied: string[] = [];
  using proxy = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch({ method, url, headers, body }) {
      const { pathname, host } = new URL(url);
      proxied.push(`${method} ${host}${pathname}`);
      return fetch(new URL(pathname, aws.url), { method, headers, body, proxy: false });
    },
  });
  const http = new URL(proxy.url.origin);
  const source = sourceOf(aws, { AWS_ENDPOINT_URL_ECR: "http://ecr.invalid" });
  const connection = { proxy: { http, except: [], from: "HTTP_PROXY" } };
  // As the environment of the process has it, which fetch reads by itself.
  process.env["HTTP_PROXY"] = http.href;
  try {
    expect((await issuedToken({ ...source, connection })).username).toBe("AWS");
  } finally {
    delete process.env["HTTP_PROXY"];
  }
  expect(proxied).toEqual(["POST ecr.invalid/"]);
});
