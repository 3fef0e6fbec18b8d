import path from "node:path";
import ipaddr from "ipaddr.js";
import type { z } from "zod";
import { ecrHost, regionalSts } from "./aws-hosts.ts";
import type { AwsCredentials, AwsIdentity } from "./cloud-credentials.ts";
import { type CloudContext, CloudProblem, registryHost, urlOf, wordOf } from "./cloud-context.ts";
import type { awsSchema } from "./cloud-schema.ts";

/** Where ECS and EKS Pod Identity give keys to containers: the SDKs of AWS ask nobody else without TLS. */
const CONTAINER_HOSTS = new Set(["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"]);
const ECS = "http://169.254.170.2";
const INSTANCE = "http://169.254.169.254";
const INSTANCE_IPV6 = "http://[fd00:ec2::254]";

/** @throws CloudProblem */
export function awsRegistry(
  entry: z.infer<typeof awsSchema>,
  context: CloudContext,
): Omit<AwsCredentials, "connection" | "from"> {
  const host = registryHost(entry, context, {
    isKnown: (name) => ecrHost(name) !== undefined,
    example: "123456789012.dkr.ecr.eu-central-1.amazonaws.com",
  });
  const found = ecrHost(host);
  if (!found) throw new CloudProblem(`${host} is not a registry`);
  const { service, region } = found;
  const { env } = context;
  const variable = `AWS_ENDPOINT_URL_${service === "ecr" ? "ECR" : "ECR_PUBLIC"}`;
  const api = urlOf(env, variable) ?? urlOf(env, "AWS_ENDPOINT_URL") ?? found.api;
  return { cloud: "aws", service, region, api, identity: awsIdentity(region, context) };
}

/**
 * Whom AWS takes this process for, in the order of its SDKs: keys of the environment, a service account's token, a
 * credentials file, the container, the instance.
 */
function awsIdentity(region: string, context: CloudContext): AwsIdentity {
  const { env } = context;
  const accessKeyId = wordOf(env, "AWS_ACCESS_KEY_ID");
  const secretAccessKey = wordOf(env, "AWS_SECRET_ACCESS_KEY");
  if (accessKeyId && secretAccessKey) {
    const sessionToken = wordOf(env, "AWS_SESSION_TOKEN");
    return {
      kind: "keys",
      accessKeyId,
      secretAccessKey,
      ...(sessionToken ? { sessionToken } : {}),
    };
  }
  if (accessKeyId || secretAccessKey) {
    throw new CloudProblem("needs both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
  }
  return (
    webIdentity(region, context) ?? profile(context) ?? container(context) ?? instance(context)
  );
}

function webIdentity(region: string, { env, readFile }: CloudContext): AwsIdentity | undefined {
  const tokenFile = env["AWS_WEB_IDENTITY_TOKEN_FILE"];
  if (!tokenFile) return undefined;
  const roleArn = env["AWS_ROLE_ARN"];
  if (!roleArn) throw new CloudProblem("needs AWS_ROLE_ARN beside AWS_WEB_IDENTITY_TOKEN_FILE");
  readFile(tokenFile);
  const stsUrl =
    urlOf(env, "AWS_ENDPOINT_URL_STS") ??
    urlOf(env, "AWS_ENDPOINT_URL") ??
    new URL(regionalSts(env["AWS_REGION"] || region));
  const sessionName = env["AWS_ROLE_SESSION_NAME"] || "entrepot";
  return { kind: "web-identity", tokenFile, roleArn, sessionName, stsUrl };
}

function profile({ env, readFile, hasFile }: CloudContext): AwsIdentity | undefined {
  const given = env["AWS_SHARED_CREDENTIALS_FILE"];
  const name = env["AWS_PROFILE"];
  const file = given || path.join(env["HOME"] || "/", ".aws/credentials");
  if (given || name) readFile(file);
  else if (!hasFile(file)) return undefined;
  return { kind: "profile", file, profile: name || "default" };
}

function container({ env, readFile }: CloudContext): AwsIdentity | undefined {
  const relative = env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"];
  const url = relative ? new URL(relative, ECS) : urlOf(env, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (!url) return undefined;
  const isSafe =
    url.protocol === "https:" || CONTAINER_HOSTS.has(url.hostname) || isLoopback(url.hostname);
  if (!isSafe) {
    throw new CloudProblem(
      `AWS_CONTAINER_CREDENTIALS_FULL_URI is ${url.origin}: without https, it may only be an address of ECS, EKS or this machine`,
    );
  }
  const tokenFile = env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"];
  if (tokenFile) {
    readFile(tokenFile);
    return { kind: "container", url, tokenFile };
  }
  const token = wordOf(env, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
  return { kind: "container", url, ...(token ? { token } : {}) };
}

function instance({ env }: CloudContext): AwsIdentity {
  if (env["AWS_EC2_METADATA_DISABLED"]?.toLowerCase() === "true") {
    throw new CloudProblem(
      "finds no access keys in the environment, and AWS_EC2_METADATA_DISABLED is true",
    );
  }
  const isIpv6 = env["AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"]?.toLowerCase() === "ipv6";
  const usual = new URL(isIpv6 ? INSTANCE_IPV6 : INSTANCE);
  return { kind: "instance", url: urlOf(env, "AWS_EC2_METADATA_SERVICE_ENDPOINT") ?? usual };
}

function isLoopback(hostname: string): boolean {
  const host = hostname.replaceAll(/[[\]]/g, "");
  if (host === "localhost") return true;
  return ipaddr.isValid(host) && ipaddr.process(host).range() === "loopback";
}
