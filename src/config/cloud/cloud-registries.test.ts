import { describe, expect, test } from "bun:test";
import { awsRegistry } from "./aws-registry.ts";
import { ecrHost, regionalSts } from "./aws-hosts.ts";
import { azureRegistry } from "./azure-registry.ts";
import { CloudProblem } from "./cloud-context.ts";
import { googleRegistry } from "./google-registry.ts";

test.each([
  ["123456789012.dkr.ecr.eu-central-1.amazonaws.com", "api.ecr.eu-central-1.amazonaws.com"],
  ["123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "api.ecr.cn-north-1.amazonaws.com.cn"],
  ["123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "ecr-fips.us-gov-west-1.amazonaws.com"],
  ["123456789012.dkr-ecr.us-west-2.on.aws", "ecr.us-west-2.api.aws"],
  ["123456789012.dkr-ecr-fips.us-west-2.on.aws", "ecr-fips.us-west-2.api.aws"],
  [
    "123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn",
    "ecr.cn-north-1.api.amazonwebservices.com.cn",
  ],
  ["123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov", "api.ecr.us-iso-east-1.c2s.ic.gov"],
  ["123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu", "api.ecr.eusc-de-east-1.amazonaws.eu"],
  ["public.ecr.aws", "api.ecr-public.us-east-1.amazonaws.com"],
  // None of ECR.
  ["1234567890123.dkr.ecr.us-east-1.amazonaws.com", undefined],
  ["123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.test", undefined],
  ["evil.test.123456789012.dkr.ecr.us-east-1.amazonaws.com", undefined],
  ["123456789012.dkr.ecr.us-east-1.on.aws", undefined],
  ["123456789012.dkr-ecr.us-east-1.amazonaws.com", undefined],
  ["xpublic.ecr.aws", undefined],
])("tokens for %s are asked for at %p", (host, api) => {
  expect(ecrHost(host)?.api.host).toBe(api);
});

test.each([
  ["eu-central-1", "https://sts.eu-central-1.amazonaws.com"],
  ["us-gov-west-1", "https://sts.us-gov-west-1.amazonaws.com"],
  ["cn-north-1", "https://sts.cn-north-1.amazonaws.com.cn"],
  ["us-isob-east-1", "https://sts.us-isob-east-1.sc2s.sgov.gov"],
])("STS of %s is %s", (region, url) => {
  expect(regionalSts(region)).toBe(url);
});

const ECR = "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn";
const FILES: Readonly<Record<string, string>> = {
  "/token": "a.b.c",
  "/home/.aws/credentials": "[default]",
  "/adc": JSON.stringify({ type: "authorized_user", refresh_token: "hidden" }),
  "/executable": JSON.stringify({
    type: "external_account",
    audience: "//iam",
    subject_token_type: "jwt",
    token_url: "https://sts.googleapis.com/v1/token",
    credential_source: { executable: { command: "/bin/hidden" } },
  }),
  "/plain": JSON.stringify({
    type: "external_account",
    audience: "//iam",
    subject_token_type: "jwt",
    token_url: "http://sts.test/v1/token",
    credential_source: { file: "/token" },
  }),
};

function contextOf(host: string, env: Readonly<Record<string, string>>) {
  return {
    host,
    url: new URL(`https://${host}`),
    env,
    readFile(path: string): string {
      const text = FILES[path];
      if (text === undefined) throw new CloudProblem(`${path} does not exist`);
      return text;
    },
    hasFile: (path: string) => path in FILES,
  };
}

const IRSA = { AWS_WEB_IDENTITY_TOKEN_FILE: "/token", AWS_ROLE_ARN: "arn:aws:iam::1:role/r" };
const POD = {
  AWS_CONTAINER_CREDENTIALS_FULL_URI: "http://169.254.170.23/v1/credentials",
  AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: "/token",
};
const KEYS = { AWS_ACCESS_KEY_ID: "AKIA", AWS_SECRET_ACCESS_KEY: "s" };

describe("AWS takes this process for", () => {
  test.each<[Record<string, string>, object]>([
    [{}, { kind: "instance", url: new URL("http://169.254.169.254") }],
    [
      { AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: "IPv6" },
      { kind: "instance", url: new URL("http://[fd00:ec2::254]") },
    ],
    [
      POD,
      {
        kind: "container",
        url: new URL(POD.AWS_CONTAINER_CREDENTIALS_FULL_URI),
        tokenFile: "/token",
      },
    ],
    [
      { AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: "/v2/credentials/x" },
      { kind: "container", url: new URL("http://169.254.170.2/v2/credentials/x") },
    ],
    [
      { ...POD, HOME: "/home" },
      { kind: "profile", file: "/home/.aws/credentials", profile: "default" },
    ],
    [
      { ...POD, ...IRSA, HOME: "/home" },
      {
        kind: "web-identity",
        tokenFile: "/token",
        roleArn: IRSA.AWS_ROLE_ARN,
        sessionName: "entrepot",
        stsUrl: new URL("https://sts.cn-north-1.amazonaws.com.cn"),
      },
    ],
    [
      { ...IRSA, ...KEYS },
      { kind: "keys", accessKeyId: "AKIA", secretAccessKey: "s" },
    ],
  ])("what the SDKs find first in %j", (env, identity) => {
    expect(awsRegistry({}, contextOf(ECR, env)).identity).toEqual(identity as never);
  });
});

type Registry = () => unknown;
const aws = (env: Record<string, string>, host = ECR, registry?: string): Registry => {
  return () => awsRegistry({ registry }, contextOf(host, env));
};
const google = (env: Record<string, string>, host = "europe-docker.pkg.dev"): Registry => {
  return () => googleRegistry({}, contextOf(host, env));
};
const azure = (env: Record<string, string>, host = "x.azurecr.io", tenantId?: string): Registry => {
  return () => azureRegistry({ tenantId }, contextOf(host, env));
};

test.each<[string, Registry]>([
  [
    "proxy.test is not the host name of a registry there: if it stands for one, set registry",
    aws({}, "proxy.test"),
  ],
  ["ghcr.io is not the host name of a registry there, such as", aws({}, ECR, "ghcr.io")],
  ["needs both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", aws({ AWS_ACCESS_KEY_ID: "AKIA" })],
  [
    "AWS_SECRET_ACCESS_KEY has more than one line",
    aws({ AWS_ACCESS_KEY_ID: "AKIA", AWS_SECRET_ACCESS_KEY: "hidden\n" }),
  ],
  ["needs AWS_ROLE_ARN", aws({ AWS_WEB_IDENTITY_TOKEN_FILE: "/token" })],
  ["/gone does not exist", aws({ ...IRSA, AWS_WEB_IDENTITY_TOKEN_FILE: "/gone" })],
  ["/gone does not exist", aws({ AWS_SHARED_CREDENTIALS_FILE: "/gone" })],
  [
    "is http://10.0.0.1: without https",
    aws({ AWS_CONTAINER_CREDENTIALS_FULL_URI: "http://10.0.0.1/x" }),
  ],
  ["AWS_EC2_METADATA_DISABLED is true", aws({ AWS_EC2_METADATA_DISABLED: "true" })],
  ["AWS_ENDPOINT_URL_ECR is not a URL", aws({ AWS_ENDPOINT_URL_ECR: "ecr.test" })],
  ["ghcr.io is not the host name", google({}, "ghcr.io")],
  ["pkg.dev.evil.test is not the host name", google({}, "pkg.dev.evil.test")],
  ["evilgcr.io is not the host name", google({}, "evilgcr.io")],
  ["GCE_METADATA_HOST is not a host", google({ GCE_METADATA_HOST: "http://x" })],
  ["/gone does not exist", google({ GOOGLE_APPLICATION_CREDENTIALS: "/gone" })],
  ["/token is not JSON", google({ GOOGLE_APPLICATION_CREDENTIALS: "/token" })],
  ["/adc is of a type that is for people", google({ GOOGLE_APPLICATION_CREDENTIALS: "/adc" })],
  [
    "/executable has a credential_source other than a file or a URL",
    google({ GOOGLE_APPLICATION_CREDENTIALS: "/executable" }),
  ],
  ["/plain has no valid token_url", google({ GOOGLE_APPLICATION_CREDENTIALS: "/plain" })],
  ["mcr.microsoft.com is not the host name", azure({}, "mcr.microsoft.com")],
  ["beside AZURE_FEDERATED_TOKEN_FILE", azure({ AZURE_FEDERATED_TOKEN_FILE: "/token" })],
  [
    "/gone does not exist",
    azure({ AZURE_FEDERATED_TOKEN_FILE: "/gone", AZURE_CLIENT_ID: "c", AZURE_TENANT_ID: "t" }),
  ],
  [
    "has a tenantId that is none",
    azure({ AZURE_CLIENT_SECRET: "s", AZURE_CLIENT_ID: "c" }, "x.azurecr.io", "../common"),
  ],
])("%s", (message, registry) => {
  expect(registry).toThrow(message);
  expect(registry).not.toThrow("hidden");
});

test.each([
  ["x.azurecr.io", "login.microsoftonline.com"],
  ["x.azurecr.cn", "login.chinacloudapi.cn"],
  ["x.azurecr.us", "login.microsoftonline.us"],
])("the tokens for %s are issued by %s", (host, authority) => {
  const env = { AZURE_CLIENT_SECRET: "s", AZURE_CLIENT_ID: "c", AZURE_TENANT_ID: "t" };
  const { identity, exchange } = azureRegistry({}, contextOf(host, env));
  expect("authority" in identity ? identity.authority.host : "").toBe(authority);
  expect(exchange.href).toBe(`https://${host}/oauth2/exchange`);
});
