import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdir, rename, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import {
  type CertificateAuthority,
  makeCertificateAuthority,
  type SignedCertificate,
} from "./harness/certificate-authority.ts";
import { bytesOf, randomContent } from "./harness/content.ts";
import { localUpstream, startEntrepot } from "./harness/entrepot.ts";
import { freePort } from "./harness/free-port.ts";
import { type TempDir, tempDir } from "./harness/temp-dir.ts";
import { run } from "./harness/processes.ts";
import { startScriptedUpstream } from "./harness/scripted-upstream.ts";
import { connect, servedCertificateName, sendRequests } from "./harness/tls-clients.ts";
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

test("all node-facing ports speak TLS 1.2 or newer, and nothing else", async () => {
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
  for (const url of [
    `${cache.url}/v2/app/blobs/${blob.digest}?ns=reg.test`,
    `${cache.portUrl("reg.test")}/v2/app/blobs/${blob.digest}`,
  ]) {
    const got = await fetch(url, { tls: { ca } });
    expect([got.status, got.headers.get("content-length")]).toEqual([200, String(blob.size)]);
    expect(await got.bytes()).toEqual(bytesOf(blob));
  }
  const { code, stdout } = await curl(`https://localhost:${port}/v2/`);
  expect([code, stdout]).toEqual([0, "{}\n"]);
  // Another cache at the same port takes no connections away.
  const stranger = { config: { tls: identity(first), upstreams: { "reg.test": null } } };
  const clash = startEntrepot({ ...stranger, listen: cache.address });
  expect(await failureOf(clash)).toContain("another process listens there");
  // Without the authority, over plain HTTP, and with what is no longer safe.
  expect((await run(["curl", "-sS", `${cache.url}/v2/`])).code).toBe(60);
  expect((await curl(`http://${cache.address}/v2/`)).code).toBe(52);
  for (const [version, isGood] of [
    ["-tls1", false],
    ["-tls1_1", false],
    ["-tls1_2", true],
    ["-tls1_3", true],
  ] as const) {
    const said = await run(["openssl", "s_client", "-connect", cache.address, version]);
    expect([version, /^New, TLSv1\.[23]/m.test(said.stdout)]).toEqual([version, isGood]);
  }
}, 30_000);

test("whoever asks with the wrong scheme or without the authority is told so", async () => {
  await using cache = await startEntrepot({ config: { tls: identity(first) } });
  await using node = await tempDir("node");
  const plan = ["node", "plan", "--root", node.path, "--containerd-version", "1.7.24"];
  const says = async (...command: string[]) => (await run([PROGRAM, ...command])).stderr;
  expect(await says("render", "docker", "--cache", cache.url)).toContain(
    "name its authority with --ca FILE",
  );
  expect(await says(...plan, "--cache", cache.url)).toContain("is its CA missing (--ca)?");
  const plain = `http://${cache.address}`;
  const closed = `${plain} closed the connection: if it speaks TLS, write https://`;
  expect(await says(...plan, "--cache", plain)).toContain(closed);
});

test("TLS at a plain port is refused at once", async () => {
  await using cache = await startEntrepot();
  const { code, stderr } = await curl(`https://${cache.address}/v2/`);
  expect([code, stderr]).toEqual([35, expect.stringContaining("wrong version number")]);
  expect((await cache.get("/v2/")).status).toBe(200);
});

test("a certificate is renewed under load, by a link that is turned, and no request is dropped", async () => {
  await using upstream = await startScriptedUpstream();
  const blob = randomContent(32 * MIB, 2);
  upstream.addBlob("app", blob);
  await using own = await tempDir("tls");
  for (const [name, { certificateFile, keyFile }] of Object.entries({ first, second })) {
    await mkdir(own.file(name));
    await symlink(certificateFile, own.file(name, "tls.crt"));
    await symlink(keyFile, own.file(name, "tls.key"));
  }
  const turn = async (name: string): Promise<void> => {
    await symlink(name, own.file("..data_tmp"));
    await rename(own.file("..data_tmp"), own.file("..data"));
  };
  await turn("first");
  await using cache = await startEntrepot({
    config: {
      tls: { certificate: own.file("..data", "tls.crt"), key: own.file("..data", "tls.key") },
      upstreams: { "reg.test": localUpstream(upstream.url) },
    },
  });
  const small = randomContent(1000, 4);
  upstream.addBlob("app", small);
  const smallPath = `/v2/app/blobs/${small.digest}?ns=reg.test`;
  using early = await connect(cache.address, ca);
  expect(await early.get(smallPath, small.size)).not.toMatch(/^connection:/im);
  const blobUrl = `${cache.url}/v2/app/blobs/${blob.digest}?ns=reg.test`;
  await (await fetch(blobUrl, { tls: { ca } })).bytes();
  // One that began before and takes until after.
  const download = curl("--limit-rate", "8M", "-o", own.file("got"), blobUrl);
  const loading = new AbortController();
  const outcomes = new Map<string, number>();
  const load = Array.from({ length: 16 }, async (_, client) => {
    while (!loading.signal.aborted) {
      const outcome = await sendRequests(cache.address, ca, client % 2 === 0 ? 1 : 20);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
  });
  expect(await servedCertificateName(cache.address, ca)).toBe("first");
  await turn("second");
  await until(async () => (await servedCertificateName(cache.address, ca)) === "second", {
    what: "the new one",
  });
  // From here on it is the new one alone.
  for (let i = 0; i < 50; i += 1)
    expect(await servedCertificateName(cache.address, ca)).toBe("second");
  expect((await download).code).toBe(0);
  loading.abort();
  await Promise.all(load);
  expect([...outcomes.keys()]).toEqual(["ok"]);
  expect(await Bun.file(own.file("got")).bytes()).toEqual(bytesOf(blob));
  // A connection from before has one more answer, and what is remembered of it is no last one.
  const other = randomContent(1000, 5);
  upstream.addBlob("app", other);
  const otherPath = `/v2/app/blobs/${other.digest}?ns=reg.test`;
  await (await fetch(`${cache.url}${otherPath}`, { tls: { ca } })).bytes();
  expect(await early.get(otherPath, other.size)).toMatch(/^connection: close$/im);
  using late = await connect(cache.address, ca);
  for (const target of [otherPath, otherPath, smallPath]) {
    expect(await late.get(target, 1000)).not.toMatch(/^connection:/im);
  }
  await turn("first");
  await until(async () => (await servedCertificateName(cache.address, ca)) === "first", {
    what: "the third",
  });
  await turn("second");
  await until(async () => (await servedCertificateName(cache.address, ca)) === "second", {
    what: "the fourth",
  });
  for (let i = 0; i < 50; i += 1)
    expect(await servedCertificateName(cache.address, ca)).toBe("second");
  // The line comes after the change that it tells of.
  const changes = () => cache.logs().filter(({ msg }) => msg === "configuration changed");
  await until(() => changes().length === 3, { what: "a line of each change" });
  expect(changes().map((line) => line["changes"])).toEqual([
    ["tls: changed"],
    ["tls: changed"],
    ["tls: changed"],
  ]);
}, 60_000);

test("a renewal that does not fit is refused, once, and the certificate before stays", async () => {
  await using own = await tempDir("tls");
  const [certificate, key] = [own.file("tls.crt"), own.file("tls.key")];
  const copy = async (from: string, to: string) => writeFile(to, await Bun.file(from).text());
  await copy(first.certificateFile, certificate);
  await copy(first.keyFile, key);
  await using cache = await startEntrepot({ config: { tls: { certificate, key } } });
  const refusals = () =>
    cache.logs().filter(({ msg }) => msg === "configuration refused: the running one stays");
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
    what: "the new one",
  });
  expect(refusals()).toHaveLength(2);
}, 30_000);

test("a certificate that has expired is shown all the same, and warned of", async () => {
  const expired = await authority.sign("expired", NAMES, -1);
  await using cache = await startEntrepot({ config: { tls: identity(expired) } });
  const line = await cache.logged("the certificate has expired: nodes refuse it");
  expect([line["level"], line["certificate"]]).toEqual(["warn", expired.certificateFile]);
  const metrics = await (await cache.getAdmin("/metrics")).text();
  const expiry = Number(/^entrepot_certificate_expiry_seconds (\S+)$/m.exec(metrics)?.[1]);
  expect(Math.abs(Date.now() / 1000 - 86_400 - expiry)).toBeLessThan(120);
  expect((await curl("-k", `${cache.url}/v2/`)).code).toBe(0);
});

test("a body that is given up ends in a clean close over TLS as well", async () => {
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
  // 18 is a body that ended too early; 56 would be a connection that was reset or not closed by TLS.
  const [status, size] = stdout.split(" ").map(Number);
  expect([code, status]).toEqual([18, 200]);
  expect(size).toBeGreaterThan(4 * MIB);
  expect(size).toBeLessThan(blob.size);
}, 30_000);

test("half handshakes hold nothing up, and what is no TLS is closed", async () => {
  await using cache = await startEntrepot({ config: { tls: identity(first) } });
  const [host = "", port = ""] = cache.address.split(":");
  let closed = 0;
  const handlers = { data() {}, close: () => void (closed += 1) };
  const sockets = await Promise.all(
    Array.from({ length: 200 }, () =>
      Bun.connect({ hostname: host, port: Number(port), socket: handlers }),
    ),
  );
  // The head of a ClientHello of 512 bytes, and nothing more of it.
  for (const socket of sockets.slice(100))
    socket.write(Buffer.from("1603010200010001fc0303", "hex"));
  for (let i = 0; i < 20; i += 1) expect(await sendRequests(cache.address, ca, 2)).toBe("ok");
  const garbage = await Promise.all(
    Array.from({ length: 50 }, () =>
      Bun.connect({ hostname: host, port: Number(port), socket: handlers }),
    ),
  );
  for (const socket of garbage) socket.write("\x16\x03\x01\xff\xff nothing of TLS".repeat(100));
  await until(() => closed >= 50, { what: "the end of those that speak no TLS" });
  expect(await sendRequests(cache.address, ca, 2)).toBe("ok");
  for (const socket of sockets) socket.terminate();
}, 30_000);
