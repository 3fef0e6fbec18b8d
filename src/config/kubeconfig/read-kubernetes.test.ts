import { beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { makeCertificate } from "../../../test/harness/services/certificates.ts";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import { configErrorOf, type Env, filesOf } from "../configtest/load-text.ts";
import { loadSettings } from "../load.ts";
import type { KubernetesSettings } from "../kubernetes-api/kubernetes-settings.ts";

const ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
const IN_CLUSTER = { KUBERNETES_SERVICE_HOST: "10.96.0.1", KUBERNETES_SERVICE_PORT: "443" };

let pem: { readonly certificate: string; readonly key: string };

beforeAll(async () => {
  await using dir = await tempDir();
  const { certificateFile, keyFile } = await makeCertificate(dir);
  pem = {
    certificate: readFileSync(certificateFile, "utf8"),
    key: readFileSync(keyFile, "utf8"),
  };
});

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

/** @param kubernetes the value of the key, in YAML's flow style */
function read(
  kubernetes: string,
  { kubeconfig = {}, env = {} }: { kubeconfig?: object | string; env?: Env } = {},
): KubernetesSettings | undefined {
  const text = typeof kubeconfig === "string" ? kubeconfig : JSON.stringify(kubeconfig, null, 1);
  const files = {
    "/etc/e.yaml": `kubernetes: ${kubernetes}\n`,
    "/etc/kube/config": text,
    "/etc/kube/ca.pem": pem.certificate,
    "/etc/kube/client.pem": pem.certificate,
    "/etc/kube/client.key": pem.key,
    [`${ACCOUNT}/ca.crt`]: pem.certificate,
  };
  const flags = { config: "/etc/e.yaml" };
  return loadSettings({ flags, env, readFile: filesOf(files) }).kubernetes;
}

/** A kubeconfig of one cluster and one user. */
function kubeconfigOf(cluster: object, user: object = {}): object {
  return {
    "current-context": "here",
    contexts: [{ name: "here", context: { cluster: "c", user: "u", namespace: "x" } }],
    clusters: [{ name: "c", cluster: { server: "https://k8s.example:6443/", ...cluster } }],
    users: [{ name: "u", user }],
  };
}

test("in a pod, its service account is used, whose token is read later", () => {
  expect(read("", { env: IN_CLUSTER })).toEqual({
    access: {
      server: new URL("https://10.96.0.1"),
      ca: pem.certificate,
      isInsecure: false,
      credentials: { kind: "token-file", file: `${ACCOUNT}/token` },
    },
  });
  const six = { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "6443" };
  expect(read("{ keep: cluster }", { env: six })).toMatchObject({
    access: { server: new URL("https://[fd00::1]:6443") },
    keep: { days: 7 },
  });
});

test("a kubeconfig gives the address, the certificates and the credentials", () => {
  const settings =
    "{ kubeconfig: kube/config, namespaces: [shop, infra, shop], keep: { days: 0 } }";
  const data = base64(pem.certificate);
  const inline = { "certificate-authority-data": data, "tls-server-name": "kubernetes" };
  const client = { "client-certificate-data": data, "client-key-data": base64(pem.key) };
  const identity = { certificate: pem.certificate, key: pem.key };
  expect(read(settings, { kubeconfig: kubeconfigOf(inline, client) })).toEqual({
    access: {
      server: new URL("https://k8s.example:6443"),
      ca: pem.certificate,
      serverName: "kubernetes",
      isInsecure: false,
      client: identity,
      credentials: { kind: "none" },
    },
    namespaces: ["infra", "shop"],
    keep: { days: 0 },
  });
  const files = { "certificate-authority": "ca.pem", "proxy-url": "http://proxy:3128" };
  const user = { "client-certificate": "client.pem", "client-key": "client.key", token: "t0ken" };
  expect(read("{ kubeconfig: kube/config }", { kubeconfig: kubeconfigOf(files, user) })).toEqual({
    access: {
      server: new URL("https://k8s.example:6443"),
      ca: pem.certificate,
      isInsecure: false,
      proxy: new URL("http://proxy:3128"),
      client: identity,
      credentials: { kind: "token", token: "t0ken" },
    },
  });
});

test("the token's file wins over the token, and an exec plugin is taken as it is", () => {
  const both = { token: "old", tokenFile: "token" };
  const settings = "{ kubeconfig: kube/config }";
  expect(read(settings, { kubeconfig: kubeconfigOf({}, both) })?.access.credentials).toEqual({
    kind: "token-file",
    file: "/etc/kube/token",
  });
  const exec = {
    apiVersion: "client.authentication.k8s.io/v1",
    command: "./login",
    args: ["--for", "$(id); a b"],
    env: [{ name: "REGION", value: "eu" }],
    provideClusterInfo: true,
    interactiveMode: "IfAvailable",
  };
  expect(read(settings, { kubeconfig: kubeconfigOf({}, { exec }) })?.access.credentials).toEqual({
    kind: "exec",
    plugin: {
      apiVersion: "client.authentication.k8s.io/v1",
      command: "/etc/kube/login",
      args: ["--for", "$(id); a b"],
      env: { REGION: "eu" },
      isToldCluster: true,
    },
  });
});

test("another context can be chosen", () => {
  const kubeconfig = {
    contexts: [
      { name: "a", context: { cluster: "one", user: "" } },
      { name: "b", context: { cluster: "two" } },
    ],
    clusters: [
      { name: "one", cluster: { server: "https://one" } },
      { name: "two", cluster: { server: "http://127.0.0.1:8001" } },
    ],
    users: null,
  };
  const { access } = read("{ kubeconfig: kube/config, context: b }", { kubeconfig }) ?? {};
  expect(access).toEqual({
    server: new URL("http://127.0.0.1:8001"),
    isInsecure: false,
    credentials: { kind: "none" },
  });
});

const EXEC = { apiVersion: "client.authentication.k8s.io/v1", command: "login" };

test.each([
  ["", {}, "e.yaml:1:1: kubernetes: needs kubeconfig, since this cache does not run in a pod"],
  ["{ context: a }", {}, "kubernetes.context: is a context of kubeconfig: set kubeconfig as well"],
  ["{ kubeconfig: no }", {}, "e.yaml:1:27: kubernetes.kubeconfig: /etc/no does not exist"],
  ["{ kubeconfigs: a }", {}, 'unknown key "kubeconfigs": did you mean "kubeconfig"?'],
  ["{ namespaces: [Shop] }", {}, 'namespaces[0]: "Shop" is not the name of a namespace'],
  ["{ namespaces: [] }", {}, "kubernetes.namespaces: "],
  [
    "{ keep: nodes }",
    {},
    "kubernetes.keep: must be cluster or a mapping (key: value), not a string",
  ],
  ["{ keep: { days: 400 } }", {}, "kubernetes.keep.days: 400 is too large: the maximum is 365"],
])("kubernetes: %s is refused", (kubernetes, kubeconfig, message) => {
  expect(configErrorOf(() => read(kubernetes, { kubeconfig }))).toContain(message);
});

test.each([
  [{}, "/etc/kube/config:1:1: it has no current-context: set kubernetes.context to none"],
  ["a: [", "/etc/kube/config:1:5: the indentation is wrong"],
  ["- 1", "/etc/kube/config:1:1: must be a mapping"],
  [{ "current-context": "x" }, '/etc/kube/config:1:1: it has no context "x": it has none'],
  [
    { "current-context": "here", contexts: [{ name: "here", context: { cluster: "gone\n" } }] },
    String.raw`it has no cluster "gone\n": it has none`,
  ],
  [kubeconfigOf({ server: "ftp://a" }), '"ftp://a" is not the address of a cluster'],
  [kubeconfigOf({ server: "https://u:p@a" }), "server has more than a host, a port and a path"],
  [kubeconfigOf({ "certificate-authority": "no.pem" }), "/etc/kube/no.pem does not exist"],
  [
    kubeconfigOf({ "certificate-authority-data": "AAAA" }),
    "certificate-authority-data is not PEM text in base64",
  ],
  [
    kubeconfigOf({ "certificate-authority": "ca.pem", "insecure-skip-tls-verify": true }),
    "insecure-skip-tls-verify cannot be set beside a certificate authority",
  ],
  [kubeconfigOf({ "proxy-url": "socks5://a" }), "proxy-url it has an unsupported scheme"],
  [kubeconfigOf({}, { "client-key": "client.key" }), "needs both client-certificate and client-"],
  [kubeconfigOf({}, { username: "a", password: "b" }), "username is not supported"],
  [kubeconfigOf({}, { "auth-provider": { name: "gcp" } }), "auth-provider is not supported"],
  [kubeconfigOf({}, { as: "admin" }), "as is not supported"],
  [kubeconfigOf({}, { token: "a\nb" }), "token has characters that no token has"],
  [kubeconfigOf({}, { exec: { ...EXEC, apiVersion: "v1" } }), 'exec has the apiVersion "v1"'],
  [
    kubeconfigOf({}, { exec: { ...EXEC, interactiveMode: "Always" } }),
    "exec asks a person (interactiveMode: Always)",
  ],
])("the kubeconfig %j is refused", (kubeconfig, message) => {
  const error = configErrorOf(() => read("{ kubeconfig: kube/config }", { kubeconfig }));
  expect(error).toContain("e.yaml:1:27: kubernetes.kubeconfig: /etc/kube/config:");
  expect(error).toContain(message);
});
