import { afterAll, beforeAll, expect, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { contentOf } from "./harness/images/content.ts";
import { textImage } from "./harness/images/images.ts";
import { run } from "./harness/processes.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import {
  type CertificateAuthority,
  makeCertificateAuthority,
  type SignedCertificate,
} from "./harness/services/certificate-authority.ts";
import { type TempDir, tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

const image = textImage({ text: "for clients with a certificate" });
const large = randomBytes(8 * 1024 * 1024);

let dir: TempDir;
let authority: CertificateAuthority;
let upstream: ScriptedUpstream;
let cache: Entrepot;
let port: string;

beforeAll(async () => {
  dir = await tempDir("mtls");
  authority = await makeCertificateAuthority(dir);
  const server = await authority.sign("server", "DNS:localhost,IP:127.0.0.1");
  upstream = await startScriptedUpstream();
  upstream.add("team/app", image, "1");
  upstream.addBlob("team/app", contentOf(large, "application/octet-stream"));
  cache = await startEntrepot({
    config: {
      storage: { scrub: 0 },
      tls: { certificate: server.certificateFile, key: server.keyFile },
      clients: {
        certificates: { ca: authority.certificateFile, listen: "127.0.0.1:0" },
        rules: [
          {
            principals: ["certificate:node-*", "certificate:spiffe://cluster/**"],
            repositories: ["reg.test/team/**"],
            effect: "allow",
          },
        ],
      },
      upstreams: { "reg.test": { ...localUpstream(upstream.url), access: "clients" } },
    },
  });
  const listening = cache.logs().find((line) => line["msg"] === "listening");
  port = String(listening?.["certificates"]);
}, 60_000);

afterAll(async () => {
  await cache[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
  await dir[Symbol.asyncDispose]();
});

async function curl(
  path: string,
  client?: SignedCertificate,
  args: readonly string[] = [],
): Promise<string> {
  const shown = client ? ["--cert", client.certificateFile, "--key", client.keyFile] : [];
  const url = `https://localhost:${port.split(":").at(-1)}/v2/team/app/${path}?ns=reg.test`;
  const options = ["--silent", "--max-time", "20", "--cacert", authority.certificateFile];
  const written = ["--output", "/dev/null", "--write-out", "%{http_code}"];
  const { stdout } = await run(["curl", ...options, ...shown, ...args, ...written, url]);
  return stdout;
}

test("a client is known by its certificate's first name that is a URI, else a DNS name", async () => {
  const node = await authority.sign("node-7", "DNS:node-7");
  const workload = await authority.sign("workload", "DNS:other,URI:spiffe://cluster/ns/a");
  const stranger = await authority.sign("stranger", "DNS:stranger");
  for (let round = 0; round < 2; round += 1) {
    expect(await curl("manifests/1", node)).toBe("200");
    expect(await curl("manifests/1", workload)).toBe("200");
    expect(await curl("manifests/1", stranger)).toBe("403");
    expect(await curl("manifests/1")).toBe("401");
  }
});

test("a certificate of another authority, one that has expired, and a name within a name let nobody in", async () => {
  await using elsewhere = await tempDir("other-ca");
  const other = await makeCertificateAuthority(elsewhere, "other");
  expect(await curl("manifests/1", await other.sign("node-8", "DNS:node-8"))).toBe("000");
  expect(await curl("manifests/1", await authority.sign("node-9", "DNS:node-9", -1))).toBe("000");
  const joined = await authority.sign("joined", "@names\n[names]\nDNS.1=x\\, DNS:node-1");
  expect(await curl("manifests/1", joined)).toBe("403");
});

test("a large blob arrives whole, also at a client that reads slowly, and several requests share a connection", async () => {
  const node = await authority.sign("node-5", "DNS:node-5");
  const digest = createHash("sha256").update(large).digest("hex");
  const file = dir.file("blob");
  const slow = ["--limit-rate", "6M", "--output", file];
  expect(await curl(`blobs/sha256:${digest}`, node, slow)).toBe("200");
  expect(Buffer.compare(Buffer.from(await Bun.file(file).bytes()), large)).toBe(0);
  const url = `https://localhost:${port.split(":").at(-1)}/v2/team/app/manifests/1?ns=reg.test`;
  const twice = ["--output", "/dev/null", url, "--write-out", " %{num_connects} "];
  expect(await curl("manifests/1", node, twice)).toContain("0");
});

test("a client without a certificate is told where it gets a token, over TLS", async () => {
  const url = `https://localhost:${port.split(":").at(-1)}`;
  const response = await fetch(`${url}/v2/`, { tls: { ca: await authority.certificate() } });
  expect(response.status).toBe(401);
  expect(response.headers.get("www-authenticate")).toContain(`realm="${url}/v2/token"`);
});

test("connections that have ended leave nothing behind", async () => {
  const node = await authority.sign("node-6", "DNS:node-6");
  const descriptors = async () => (await readdir(`/proc/${cache.pid}/fd`)).length;
  const before = await descriptors();
  const answers = await Promise.all(Array.from({ length: 40 }, () => curl("manifests/1", node)));
  expect(new Set(answers)).toEqual(new Set(["200"]));
  // A few may be those of the upstream.
  await until(async () => (await descriptors()) < before + 8, { what: "their descriptors to go" });
});

test("nobody gets in past the handshake: the server behind it answers no one else", async () => {
  const { stdout } = await run(["ss", "-Hltnp"]);
  const own = stdout
    .split("\n")
    .filter((line) => line.includes(`pid=${cache.pid},`))
    .map((line) => Number(/127\.0\.0\.1:(\d+)/.exec(line)?.[1]));
  const addresses = [cache.address, cache.adminAddress, port];
  const shown = new Set(addresses.map((at) => Number(at.split(":").at(-1))));
  const behind = own.filter((at) => !shown.has(at));
  expect(behind.length).toBe(1);
  const response = await fetch(`http://127.0.0.1:${behind[0]}/v2/team/app/manifests/1?ns=reg.test`);
  expect(response.status).toBe(403);
});
