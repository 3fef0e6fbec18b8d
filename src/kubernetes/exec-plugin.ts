import path from "node:path";
import type {
  ClientIdentity,
  ClusterAccess,
  ExecPlugin,
} from "../config/kubernetes-api/kubernetes-settings.ts";
import { isObject, parseObject } from "../oci/json-object.ts";
import { KubernetesError } from "./kubernetes-error.ts";

/** In milliseconds. Some ask an identity provider. */
const TIMEOUT = 30_000;
/** In bytes. */
const MAX_OUTPUT = 1024 * 1024;

/** What a request proves itself by. */
export interface RequestCredentials {
  readonly token?: string;
  readonly client?: ClientIdentity;
}

export interface PluginCredentials extends RequestCredentials {
  /** In milliseconds of the epoch; Infinity if they say nothing of it. */
  readonly expiresAt: number;
}

/**
 * Runs a credential plugin, without a shell, and reads the `ExecCredential` that it prints
 * (kubernetes.io/docs/reference/config-api/client-authentication.v1).
 *
 * @throws KubernetesError
 */
export async function runExecPlugin(
  plugin: ExecPlugin,
  access: ClusterAccess,
): Promise<PluginCredentials> {
  const { apiVersion, command } = plugin;
  const name = path.basename(command);
  const fail = (message: string, cause?: unknown): KubernetesError =>
    new KubernetesError("unauthorized", `the credential plugin ${name} ${message}`, { cause });
  const output = await run(plugin, access, fail);
  const printed = parseObject(output);
  // The messages leave the output out: it is a secret.
  if (!printed) throw fail("printed no JSON object");
  if (printed["apiVersion"] !== apiVersion || printed["kind"] !== "ExecCredential") {
    throw fail(`printed no ExecCredential of ${apiVersion}`);
  }
  const { status } = printed;
  if (!isObject(status)) throw fail("printed no credentials");
  const { token, clientCertificateData: certificate, clientKeyData: key } = status;
  const isToken = typeof token === "string" && /^[\x21-\x7e]+$/.test(token);
  const isIdentity = typeof certificate === "string" && typeof key === "string";
  if (!isToken && !isIdentity) throw fail("printed neither a token nor a client certificate");
  const expiry = Date.parse(String(status["expirationTimestamp"]));
  return {
    ...(isToken ? { token } : {}),
    ...(isIdentity ? { client: { certificate, key } } : {}),
    expiresAt: Number.isNaN(expiry) ? Infinity : expiry,
  };
}

async function run(
  { apiVersion, command, args, env, isToldCluster, installHint }: ExecPlugin,
  access: ClusterAccess,
  fail: (message: string, cause?: unknown) => KubernetesError,
): Promise<Uint8Array> {
  const cluster = isToldCluster ? { cluster: clusterInfo(access) } : {};
  const spec = { interactive: false, ...cluster };
  const info = JSON.stringify({ apiVersion, kind: "ExecCredential", spec });
  let child: Bun.Subprocess<"ignore", "pipe", "ignore">;
  try {
    child = Bun.spawn([command, ...args], {
      env: { ...process.env, ...env, KUBERNETES_EXEC_INFO: info },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "ignore",
    });
  } catch (cause) {
    const hint = installHint === undefined ? "is it in PATH?" : installHint;
    throw fail(`cannot be started: ${hint}`, cause);
  }
  const timedOut = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    timedOut.reject(fail(`did not finish within ${TIMEOUT / 1000} s`));
  }, TIMEOUT);
  try {
    const finished = Promise.all([child.exited, readAll(child.stdout, fail)]);
    finished.catch(() => {});
    const [code, output] = await Promise.race([finished, timedOut.promise]);
    if (code !== 0) throw fail(`ended with exit code ${code}`);
    return output;
  } finally {
    clearTimeout(timer);
    child.kill("SIGKILL");
  }
}

function clusterInfo({ server, ca, serverName, isInsecure, proxy }: ClusterAccess): object {
  return {
    server: server.href.replace(/\/$/, ""),
    ...(ca === undefined
      ? {}
      : { "certificate-authority-data": Buffer.from(ca).toString("base64") }),
    ...(serverName === undefined ? {} : { "tls-server-name": serverName }),
    ...(isInsecure ? { "insecure-skip-tls-verify": true } : {}),
    ...(proxy ? { "proxy-url": proxy.href } : {}),
  };
}

async function readAll(
  stream: ReadableStream<Uint8Array>,
  fail: (message: string) => KubernetesError,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of stream) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > MAX_OUTPUT) throw fail("printed more than 1 MiB");
  }
  return Buffer.concat(chunks);
}
