import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdir, rename, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import {
  type CertificateAuthority,
  makeCertificateAuthority,
  type SignedCertificate,
} from "./harness/services/certificate-authority.ts";
import { bytesOf, randomContent } from "./harness/images/content.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { freePort } from "./harness/free-port.ts";
import { type TempDir, tempDir } from "./harness/temp-dir.ts";
import { run } from "./harness/processes.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { storedBlobs } from "./harness/cache/store-files.ts";
import { connect, servedCertificateName, sendRequests } from "./harness/runtimes/tls-clients.ts";
import { failureOf, until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;
const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));
const NAMES = "DNS:localhost,IP:127.0.0.1";

let dir: TempDir;
let authority: CertificateAuthority;
let ca: string;
let first: SignedCertificate;
let second: SignedCertificate;

beforeAll(async () => {
  dir = await tempDir("tls");
  authority = await makeCertificateAuthority(dir);
  [first, second] = await Promise.all([
    authority.sign("first", NAMES),
    authority.sign("second", NAMES),
  ]);
  ca = await authority.certificate();
});

afterAll(() => dir[Symbol.asyncDispose]());

const identity = ({ certificateFile, keyFile }: SignedCertificate) => ({
  certificate: certificateFile,
  key: keyFile,
});

function curl(...args: readonly string[]) {
  return run(["curl", "-sS", "--max-time", "30", "--cacert", authority.certificateFile, ...args]);
}

test("all node-facing ports accept TLS 1.2 or newer, and nothing else", async () => {
  await using upstream = await startScriptedUpstream();
  const blob = randomContent(MIB, 1);
  upstream.addBlob("app", blob);
  const port = freePort();
  await using cache = await startEntrepot({
    config: {
      tls: identity(first),
      upstreams: { "reg.test": { ...localUpstream(upstream.url), port } },
    },
  });
  const target = `/v2/app/blobs/${blob.digest}?ns=reg.test`;
  await (await fetch(`${cache.url}${target}`, { tls: { ca } })).bytes();
  // On a slow disk, a client has it before it is stored, and then in chunks.
  await until(async () => (await storedBlobs(cache.data)).length === 1, { what: "the blob" });
  for (const url of [
    `${cache.url}${target}`,
    `${cache.portUrl("reg.test")}/v2/app/blobs/${blob.digest}`,
  ]) {
    const got = await fetch(url, { tls: { ca } });
    expect([got.status, got.headers.get("content-length")]).toEqual([200, String(blob.size)]);
    expect(await got.bytes()).toEqual(bytesOf(blob));
  }
  const { code, stdout } = await curl(`https://localhost:${port}/v2/`);
  expect([code, stdout]).toEqual([0, "{}\n"]);
  // Another cache cannot listen on the same port.
  const otherCache = { config: { tls: identity(first), upstreams: { "reg.test": null } } };
  const failed = startEntrepot({ ...otherCache, listen: cache.address });
  expect(await failureOf(failed)).toContain(`Entrepot (process ${cache.pid}) listens there`);
  // Without the CA certificate, over plain HTTP, and with obsolete TLS versions.
  expect((await run(["curl", "-sS", `${cache.url}/v2/`])).code).toBe(60);
  expect((await curl(`http://${cache.address}/v2/`)).code).toBe(52);
  for (const [version, isGood] of [
    ["-tls1", false],
    ["-tls1_1", false],
    ["-tls1_2", true],
    ["-tls1_3", true],
  ] as const) {
    const output = await run(["openssl", "s_client", "-connect", cache.address, version]);
    expect([version, /^New, TLSv1\.[23]/m.test(output.stdout)]).toEqual([version, isGood]);
  }
}, 30_000);

test("commands report a wrong scheme and a missing CA certificate for the cache", async () => {
  await using cache = await startEntrepot({ config: { tls: identity(first) } });
  await using node = await tempDir("node");
  const plan = ["node", "plan", "--root", node.path, "--containerd-version", "1.7.24"];
  const stderrOf = async (...command: string[]) => (await run([PROGRAM, ...command])).stderr;
  expect(await stderrOf("render", "docker", "--cache", cache.url)).toContain(
    "pass its CA certificate with --ca FILE",
  );
  expect(await stderrOf(...plan, "--cache", cache.url)).toContain("is its CA missing (--ca)?");
  const plain = `http://${cache.address}`;
  const closed = `${plain} closed the connection: if it speaks TLS, write https://`;
  expect(await stderrOf(...plan, "--cache", plain)).toContain(closed);
});

test("TLS on a plain HTTP port fails at once", async () => {
  await using cache = await startEntrepot();
  const { code, stderr } = await curl(`https://${cache.address}/v2/`);
  expect([code, stderr]).toEqual([35, expect.stringContaining("wrong version number")]);
  expect((await cache.get("/v2/")).status).toBe(200);
});

test("a certificate that is replaced through a symlink under load is served, and no request fails", async () => {
  await using upstream = await startScriptedUpstream();
  const blob = randomContent(32 * MIB, 2);
  upstream.addBlob("app", blob);
  await using files = await tempDir("tls");
  for (const [name, { certificateFile, keyFile }] of Object.entries({ first, second })) {
    await mkdir(files.file(name));
    await symlink(certificateFile, files.file(name, "tls.crt"));
    await symlink(keyFile, files.file(name, "tls.key"));
  }
  const switchTo = async (name: string): Promise<void> => {
    await symlink(name, files.file("..data_tmp"));
    await rename(files.file("..data_tmp"), files.file("..data"));
  };
  await switchTo("first");
  await using cache = await startEntrepot({
    config: {
      tls: { certificate: files.file("..data", "tls.crt"), key: files.file("..data", "tls.key") },
      upstreams: { "reg.test": localUpstream(upstream.url) },
    },
  });
  const small = randomContent(1000, 4);
  upstream.addBlob("app", small);
  const smallPath = `/v2/app/blobs/${small.digest}?ns=reg.test`;
  using oldConnection = await connect(cache.address, ca);
  expect(await oldConnection.get(smallPath, small.size)).not.toMatch(/^connection:/im);
  const blobUrl = `${cache.url}/v2/app/blobs/${blob.digest}?ns=reg.test`;
  await (await fetch(blobUrl, { tls: { ca } })).bytes();
  // A download that begins before the renewal and ends after it.
  const download = curl("--limit-rate", "8M", "-o", files.file("got"), blobUrl);
  const loading = new AbortController();
  const outcomes = new Map<string, number>();
  const load = Array.from({ length: 16 }, async (_, client) => {
    while (!loading.signal.aborted) {
      const outcome = await sendRequests(cache.address, ca, client % 2 === 0 ? 1 : 20);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
  });
  expect(await servedCertificateName(cache.address, ca)).toBe("first");
  await switchTo("second");
  await until(async () => (await servedCertificateName(cache.address, ca)) === "second", {
    what: "the new certificate",
  });
  // From here on only the new certificate is served.
  for (let i = 0; i < 50; i += 1)
    expect(await servedCertificateName(cache.address, ca)).toBe("second");
  expect((await download).code).toBe(0);
  loading.abort();
  await Promise.all(load);
  expect([...outcomes.keys()]).toEqual(["ok"]);
  expect(await Bun.file(files.file("got")).bytes()).toEqual(bytesOf(blob));
  // An old connection gets one more response, with "Connection: close", which the response cache
  // must not store.
  const other = randomContent(1000, 5);
  upstream.addBlob("app", other);
  const otherPath = `/v2/app/blobs/${other.digest}?ns=reg.test`;
  await (await fetch(`${cache.url}${otherPath}`, { tls: { ca } })).bytes();
  expect(await oldConnection.get(otherPath, other.size)).toMatch(/^connection: close$/im);
  using newConnection = await connect(cache.address, ca);
  for (const target of [otherPath, otherPath, smallPath]) {
    expect(await newConnection.get(target, 1000)).not.toMatch(/^connection:/im);
  }
  await switchTo("first");
  await until(async () => (await servedCertificateName(cache.address, ca)) === "first", {
    what: "the third certificate",
  });
  await switchTo("second");
  await until(async () => (await servedCertificateName(cache.address, ca)) === "second", {
    what: "the fourth certificate",
  });
  for (let i = 0; i < 50; i += 1)
    expect(await servedCertificateName(cache.address, ca)).toBe("second");
  // A change is logged after it takes effect.
  const changes = () => cache.logs().filter(({ msg }) => msg === "configuration changed");
  await until(() => changes().length === 3, { what: "a log line for each change" });
  expect(changes().map((line) => line["changes"])).toEqual([
    ["tls: changed"],
    ["tls: changed"],
    ["tls: changed"],
  ]);
}, 60_000);

test("a certificate without its key is rejected once, and the previous one stays in use", async () => {
  await using files = await tempDir("tls");
  const [certificate, key] = [files.file("tls.crt"), files.file("tls.key")];
  const copy = async (from: string, to: string) => writeFile(to, await Bun.file(from).text());
  await copy(first.certificateFile, certificate);
  await copy(first.keyFile, key);
  await using cache = await startEntrepot({ config: { tls: { certificate, key } } });
  const refusals = () =>
    cache
      .logs()
      .filter(({ msg }) => msg === "configuration rejected: the previous one stays in use");
  await copy(second.certificateFile, certificate);
  const [refusal] = await until(() => refusals().length > 0 && refusals(), { what: "a refusal" });
  expect(refusal?.["problems"]).toEqual([
    `${cache.configFile}:3:8: tls.key: does not match certificate`,
  ]);
  cache.signal("SIGHUP");
  await writeFile(key, "-----BEGIN");
  await until(() => refusals().length > 1, { what: "another refusal" });
  expect(String(refusals()[1]?.["problems"])).toContain("contains no private key in PEM");
  expect(await servedCertificateName(cache.address, ca)).toBe("first");
  await copy(second.keyFile, key);
  await until(async () => (await servedCertificateName(cache.address, ca)) === "second", {
    what: "the new certificate",
  });
  expect(refusals()).toHaveLength(2);
}, 30_000);

test("an expired certificate is served, with a warning", async () => {
  const expired = await authority.sign("expired", NAMES, -1);
  await using cache = await startEntrepot({ config: { tls: identity(expired) } });
  const line = await cache.logged("the certificate has expired: nodes refuse it");
  expect([line["level"], line["certificate"]]).toEqual(["warn", expired.certificateFile]);
  const metrics = await (await cache.getAdmin("/metrics")).text();
  const expiry = Number(
    /^entrepot_certificate_expiration_timestamp_seconds (\S+)$/m.exec(metrics)?.[1],
  );
  expect(Math.abs(Date.now() / 1000 - 86_400 - expiry)).toBeLessThan(120);
  expect((await curl("-k", `${cache.url}/v2/`)).code).toBe(0);
});

test("a body that is cut off ends with a clean TLS close", async () => {
  await using upstream = await startScriptedUpstream();
  const blob = randomContent(8 * MIB, 3);
  upstream.addBlob("app", blob);
  upstream.respond(() => ({ flipBitAt: 6 * MIB }));
  await using cache = await startEntrepot({
    config: { tls: identity(first), upstreams: { "reg.test": localUpstream(upstream.url) } },
  });
  const got = path.join(dir.path, "cut");
  const url = `${cache.url}/v2/app/blobs/${blob.digest}?ns=reg.test`;
  const { code, stdout } = await curl("-o", got, "-w", "%{http_code} %{size_download}", url);
  // curl's code 18 is a truncated body; 56 would be a reset or a missing close_notify.
  const [status, size] = stdout.split(" ").map(Number);
  expect([code, status]).toEqual([18, 200]);
  expect(size).toBeGreaterThan(4 * MIB);
  expect(size).toBeLessThan(blob.size);
}, 30_000);

test("incomplete handshakes do not block other clients, and non-TLS connections are closed", async () => {
  await using cache = await startEntrepot({ config: { tls: identity(first) } });
  const [host = "", port = ""] = cache.address.split(":");
  let closed = 0;
  const handlers = { data() {}, close: () => void (closed += 1) };
  const sockets = await Promise.all(
    Array.from({ length: 200 }, () =>
      Bun.connect({ hostname: host, port: Number(port), socket: handlers }),
    ),
  );
  // Only the beginning of a ClientHello of 512 bytes.
  for (const socket of sockets.slice(100))
    socket.write(Buffer.from("1603010200010001fc0303", "hex"));
  for (let i = 0; i < 20; i += 1) expect(await sendRequests(cache.address, ca, 2)).toBe("ok");
  const garbage = await Promise.all(
    Array.from({ length: 50 }, () =>
      Bun.connect({ hostname: host, port: Number(port), socket: handlers }),
    ),
  );
  for (const socket of garbage) socket.write("\x16\x03\x01\xff\xff nothing of TLS".repeat(100));
  await until(() => closed >= 50, { what: "the non-TLS connections to be closed" });
  expect(await sendRequests(cache.address, ca, 2)).toBe("ok");
  for (const socket of sockets) socket.terminate();
}, 30_000);
