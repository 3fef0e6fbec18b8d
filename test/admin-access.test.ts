import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFile, rename, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { listenerAt } from "../src/doctor/ports.ts";
import {
  type CertificateAuthority,
  makeCertificateAuthority,
  type SignedCertificate,
} from "./harness/services/certificate-authority.ts";
import { type Entrepot, startEntrepot } from "./harness/cache/entrepot.ts";
import { run } from "./harness/processes.ts";
import { type TempDir, tempDir } from "./harness/temp-dir.ts";
import { servedCertificateName } from "./harness/runtimes/tls-clients.ts";
import { until } from "./harness/waiting.ts";

const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));
const [ADMIN, READ, NEXT] = ["first-admin-token", "a-token-to-read", "second-admin-token"].map(
  (token) => token.padEnd(20, "x"),
);

let dir: TempDir;
let authority: CertificateAuthority;
let ca: string;
let cache: Entrepot;
let url: string;

/** Replaces a file as a rotation does: in one step. */
async function put(name: string, text: string): Promise<void> {
  await writeFile(dir.file(`${name}.new`), text);
  await rename(dir.file(`${name}.new`), dir.file(name));
}

/** As `put`. The cache would see it by itself, a second later. */
async function rotate(text: string): Promise<void> {
  await put("admin-token", text);
  cache.signal("SIGHUP");
}

async function putCertificate({ certificateFile, keyFile }: SignedCertificate): Promise<void> {
  await copyFile(certificateFile, dir.file("tls.crt"));
  await copyFile(keyFile, dir.file("tls.key"));
}

beforeAll(async () => {
  dir = await tempDir("admin-access");
  authority = await makeCertificateAuthority(dir);
  ca = await authority.certificate();
  // The name of another machine: commands on this one trust the certificate itself.
  await putCertificate(await authority.sign("first", "DNS:cache.example"));
  await put("admin-token", `${ADMIN}\n`);
  await put("read-token", `${READ}\n`);
  cache = await startEntrepot({
    config: {
      adminTokenFile: dir.file("admin-token"),
      readTokenFile: dir.file("read-token"),
      adminTls: { certificate: dir.file("tls.crt"), key: dir.file("tls.key") },
      upstreams: { "reg.test": {} },
    },
  });
  url = `https://${cache.adminAddress}`;
});

afterAll(async () => {
  await cache[Symbol.asyncDispose]();
  await dir[Symbol.asyncDispose]();
});

const tls = () => ({ ca, serverName: "cache.example" });

function request(path: string, token?: string, init: BunFetchRequestInit = {}): Promise<Response> {
  const headers = {
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(init.method === undefined ? {} : { "content-type": "application/json" }),
  };
  return fetch(url + path, { headers, redirect: "manual", tls: tls(), ...init });
}

const statusOf = async (...sent: Parameters<typeof request>) => (await request(...sent)).status;

function entrepot(args: readonly string[], env: Record<string, string> = {}) {
  return run([PROGRAM, ...args], { env });
}

test("a token that only reads sees everything, and changes nothing", async () => {
  const change = { method: "POST", body: "{}" };
  expect([
    await statusOf("/healthz"),
    await statusOf("/metrics"),
    await statusOf("/metrics", READ),
    await statusOf("/api/v1/status", READ),
    await statusOf("/api/v1/status", ADMIN),
    await statusOf("/api/v1/status", "wrong"),
    await statusOf("/api/v1/gc", ADMIN, change),
  ]).toEqual([200, 401, 200, 200, 200, 401, 202]);
  expect(await statusOf("/api/v1/gc", READ, change)).toBe(403);
  // Doctor has no token for a port that another configuration opened, and knows it all the same.
  const [host = "", port = ""] = cache.adminAddress.split(":");
  expect(await listenerAt({ host, port: Number(port) })).toBe("entrepot");
});

test("commands reach the port over TLS: by the configuration, by --ca, or by variables", async () => {
  const { adminAddress } = cache;
  const config = ["--config", cache.configFile, "--admin", adminAddress];
  const [own, byCa, plain, untrusted, reader] = await Promise.all([
    entrepot(["status", ...config]),
    entrepot(["ls", "--admin", `https://${adminAddress}`, "--ca", authority.certificateFile]),
    entrepot(["status", "--admin", adminAddress]),
    entrepot(["status"], { ENTREPOT_ADMIN: `https://${adminAddress}/` }),
    entrepot(["purge", "a/b:c", ...config], { ENTREPOT_ADMIN_TOKEN: READ ?? "" }),
  ]);
  expect([own.code, own.stderr]).toEqual([0, ""]);
  expect([byCa.code, byCa.stderr]).toEqual([1, expect.stringContaining("for another name")]);
  expect([plain.code, plain.stderr]).toEqual([
    1,
    expect.stringContaining("if it speaks TLS, write --admin https://"),
  ]);
  expect([untrusted.code, untrusted.stderr]).toEqual([
    1,
    expect.stringContaining("is its CA missing (--ca)?"),
  ]);
  expect(reader.code).toBe(1);
});

test("a browser logs in with the token, and its session ends as the token is replaced", async () => {
  const form = { method: "POST", body: new URLSearchParams({ token: ADMIN ?? "", to: "/" }) };
  const login = await fetch(`${url}/login`, {
    ...form,
    headers: { origin: url },
    redirect: "manual",
    tls: tls(),
  });
  const set = login.headers.get("set-cookie") ?? "";
  expect([login.status, set]).toEqual([303, expect.stringMatching(/^__Host-.*; Secure$/)]);
  const cookie = set.split(";")[0] ?? "";
  const session = async (): Promise<number> =>
    (await fetch(`${url}/api/v1/status`, { headers: { cookie }, tls: tls() })).status;
  expect(await session()).toBe(200);
  // Both are accepted until everybody has the new one.
  await rotate(`${NEXT}\n${ADMIN}\n`);
  await until(async () => (await statusOf("/api/v1/status", NEXT)) === 200, {
    what: "the new token",
  });
  expect([await session(), await statusOf("/api/v1/status", ADMIN)]).toEqual([200, 200]);
  await rotate(`${NEXT}\n`);
  await until(async () => (await session()) === 401, { what: "the end of the session" });
  expect(await statusOf("/api/v1/status", ADMIN)).toBe(401);
  // An empty file is no rotation.
  await rotate("\n");
  await cache.logged("configuration rejected: the previous one stays in use");
  expect(await statusOf("/api/v1/status", NEXT)).toBe(200);
  await rotate(`${NEXT}\n`);
  expect(cache.output()).not.toContain(NEXT ?? "");
});

test("a renewed certificate is presented at once", async () => {
  await putCertificate(await authority.sign("second", "DNS:cache.example,IP:127.0.0.1"));
  cache.signal("SIGHUP");
  await until(async () => (await servedCertificateName(cache.adminAddress, ca)) === "second", {
    what: "the new certificate",
  });
  const admin = ["--admin", `https://${cache.adminAddress}`, "--ca", authority.certificateFile];
  const { code, stderr } = await entrepot(["ls", ...admin], { ENTREPOT_ADMIN_TOKEN: READ ?? "" });
  expect([code, stderr]).toEqual([0, ""]);
});

test("the page is the same in whatever directory the cache is started", async () => {
  await using other = await tempDir("elsewhere");
  const foreign = { compilerOptions: { jsx: "react-jsx", jsxImportSource: "react" } };
  await writeFile(other.file("tsconfig.json"), JSON.stringify(foreign));
  await using elsewhere = await startEntrepot({ cwd: other.path });
  const response = await elsewhere.getAdmin("/");
  expect([response.status, await response.text()]).toEqual([
    200,
    expect.stringContaining("<title>Overview"),
  ]);
});
