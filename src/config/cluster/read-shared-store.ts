import path from "node:path";
import { regionalSts } from "../cloud/aws-hosts.ts";
import type { AccessKeySettings, SharedStoreSettings } from "../cluster-settings.ts";
import type { ProxyRule } from "../parsing/proxy.ts";
import { UnreadableError } from "../parsing/read-text.ts";
import type { SharedStoreEntry } from "../shared-store-schema.ts";
import { type FileContext, readCaBundle } from "../upstreams/certificates.ts";

const AT = ["cluster", "store"];
const MAX_FILE_BYTES = 16 * 1024;
/** `s3.eu-central-1.amazonaws.com`, `bucket.s3.dualstack.us-east-1.amazonaws.com.cn` and all between. */
const AMAZON =
  /^(?<bucket>.+\.)?s3[.-](?:(?:dualstack|fips)\.)?(?:(?<region>[a-z]{2}(?:-[a-z]+)+-\d)\.)?amazonaws\.com(?:\.cn)?$/;

export interface SharedStoreContext extends FileContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly proxy: ProxyRule | undefined;
}

/** Reads `cluster.store` of the configuration. Problems are reported. */
export function readSharedStore(
  entry: SharedStoreEntry,
  context: SharedStoreContext,
): SharedStoreSettings | undefined {
  const { url } = entry;
  const amazon = AMAZON.exec(url.hostname)?.groups;
  const isPathStyle = entry.pathStyle ?? amazon?.["bucket"] === undefined;
  if (isPathStyle && /^\/*$/.test(url.pathname)) {
    const reason = `${url.origin} names no bucket: write ${url.origin}/bucket, or set pathStyle: false if the host name has it`;
    context.report([...AT, "url"], reason, "value");
    return undefined;
  }
  const region = entry.region ?? amazon?.["region"] ?? "us-east-1";
  const keys = readKeys(entry, region, context);
  const ca = readCaBundle(AT, entry.ca, context);
  if (!keys || (entry.ca !== undefined && ca === undefined)) return undefined;
  const { redirect, maxSize } = entry;
  const { proxy } = context;
  return {
    url,
    isPathStyle,
    region,
    keys,
    ...(redirect ? { redirect } : {}),
    ...(maxSize === undefined ? {} : { maxSize }),
    ...(ca === undefined ? {} : { ca }),
    ...(proxy ? { proxy } : {}),
  };
}

function readKeys(
  entry: SharedStoreEntry,
  region: string,
  context: SharedStoreContext,
): AccessKeySettings | undefined {
  const { accessKeyFile, secretKeyFile, sessionTokenFile } = entry;
  if (accessKeyFile === undefined && secretKeyFile === undefined) {
    return readWebIdentity(entry, region, context);
  }
  const excluded = (["webIdentityTokenFile", "roleArn", "stsUrl"] as const).find(
    (key) => entry[key] !== undefined,
  );
  if (excluded) {
    context.report([...AT, excluded], "conflicts with accessKeyFile: set only one of them", "key");
  }
  if (accessKeyFile === undefined || secretKeyFile === undefined) {
    const single = accessKeyFile === undefined ? "secretKeyFile" : "accessKeyFile";
    context.report([...AT, single], "needs both accessKeyFile and secretKeyFile", "key");
    return undefined;
  }
  const access = fileOf("accessKeyFile", accessKeyFile, context);
  const secret = fileOf("secretKeyFile", secretKeyFile, context);
  const session = sessionTokenFile && fileOf("sessionTokenFile", sessionTokenFile, context);
  if (access === undefined || secret === undefined) return undefined;
  return {
    kind: "files",
    accessKeyFile: access,
    secretKeyFile: secret,
    ...(session ? { sessionTokenFile: session } : {}),
  };
}

function readWebIdentity(
  entry: SharedStoreEntry,
  region: string,
  context: SharedStoreContext,
): AccessKeySettings | undefined {
  const { env } = context;
  const roleArn = entry.roleArn ?? (env["AWS_ROLE_ARN"] || undefined);
  const name = entry.webIdentityTokenFile ?? (env["AWS_WEB_IDENTITY_TOKEN_FILE"] || undefined);
  if (name === undefined || roleArn === undefined) {
    const reason =
      name === undefined && roleArn === undefined
        ? "has no credentials: set accessKeyFile and secretKeyFile, or webIdentityTokenFile and roleArn"
        : "needs both webIdentityTokenFile and roleArn";
    context.report(AT, reason, "key");
    return undefined;
  }
  const tokenFile = fileOf("webIdentityTokenFile", name, context);
  const sts = env["AWS_ENDPOINT_URL_STS"] || regionalSts(region);
  const stsUrl = entry.stsUrl ?? URL.parse(sts);
  if (!stsUrl) context.report(AT, `AWS_ENDPOINT_URL_STS is not a URL`, "key");
  if (tokenFile === undefined || !stsUrl) return undefined;
  return { kind: "web-identity", tokenFile, roleArn, stsUrl };
}

/** The path of a file that is read later, and again and again. A missing one is told now. */
function fileOf(
  key: "accessKeyFile" | "secretKeyFile" | "sessionTokenFile" | "webIdentityTokenFile",
  name: string,
  { folder, readFile, report }: SharedStoreContext,
): string | undefined {
  const file = path.resolve(folder, name);
  try {
    if (readFile(file, MAX_FILE_BYTES).trim() !== "") return file;
    report([...AT, key], `${file} is empty`, "value");
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    report([...AT, key], `${file} ${error.message}`, "value");
  }
  return undefined;
}
