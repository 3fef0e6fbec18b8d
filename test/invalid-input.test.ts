import { afterAll, beforeAll, expect, test } from "bun:test";
import { connect } from "node:net";
import { mkdir, writeFile } from "node:fs/promises";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { run } from "./harness/processes.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { until } from "./harness/waiting.ts";
import { storedBlobs, unfinishedFills } from "./harness/cache/store-files.ts";

let upstream: ScriptedUpstream;
let cache: Entrepot;

beforeAll(async () => {
  upstream = await startScriptedUpstream();
  cache = await startEntrepot({
    config: { upstreams: { "docker.io": localUpstream(upstream.url), "ghcr.io": null } },
  });
});

afterAll(async () => {
  await cache[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
});

const hex = "a".repeat(64);

test.each([
  ["/v2/Upper/manifests/1", 400, "NAME_INVALID"],
  ["/v2/a..b/manifests/1", 400, "NAME_INVALID"],
  ["/v2/a/../b/manifests/1", 400, "NAME_INVALID"],
  ["/v2/../../etc/passwd", 400, "NAME_INVALID"],
  ["/v2/a/%2e%2e/b/manifests/1", 400, "NAME_INVALID"],
  ["/v2/a%2fb/manifests/1", 400, "NAME_INVALID"],
  ["/v2/a%5cb/manifests/1", 400, "NAME_INVALID"],
  ["/v2/a%00/manifests/1", 400, "NAME_INVALID"],
  ["/v2/a%0d%0ab/manifests/1", 400, "NAME_INVALID"],
  ["/v2/a//b/manifests/1", 400, "NAME_INVALID"],
  ["/v2//manifests/1", 400, "NAME_INVALID"],
  ["/v2/a/manifests/", 400, "NAME_INVALID"],
  ["/v2/a/manifests/./1", 400, "NAME_INVALID"],
  [`/v2/${"a".repeat(256)}/manifests/1`, 400, "NAME_INVALID"],
  [`/v2/${"a".repeat(5000)}/manifests/1`, 400, "NAME_INVALID"],
  [`/v2/${"a/".repeat(200)}manifests/1`, 400, "NAME_INVALID"],
  ["/v2/%zz/manifests/1", 400, "NAME_INVALID"],
  ["/v2/%ff/manifests/1", 400, "NAME_INVALID"],
  ["/v2/a/manifests/-bad", 400, "MANIFEST_INVALID"],
  [`/v2/a/manifests/${"t".repeat(129)}`, 400, "MANIFEST_INVALID"],
  ["/v2/a/manifests/a%20b", 400, "MANIFEST_INVALID"],
  ["/v2/a/manifests/sha256:abc", 400, "DIGEST_INVALID"],
  [`/v2/a/blobs/${hex}`, 400, "DIGEST_INVALID"],
  [`/v2/a/blobs/sha256:${hex.toUpperCase()}`, 400, "DIGEST_INVALID"],
  [`/v2/a/blobs/sha384:${hex}${hex.slice(32)}`, 400, "DIGEST_INVALID"],
  [`/v2/a/blobs/md5:${hex.slice(32)}`, 400, "DIGEST_INVALID"],
  ["/v2/a/referrers/latest", 400, "DIGEST_INVALID"],
  ["/v2/a/tags/list?ns=docker.io&ns=ghcr.io", 400, "NAME_INVALID"],
  ["/v2/a/tags/list?ns=", 400, "NAME_INVALID"],
  ["/v2/a/tags/list?ns=http://169.254.169.254/", 400, "NAME_INVALID"],
  ["/v2/a/tags/list?ns=user@docker.io", 400, "NAME_INVALID"],
  ["/v2/a/tags/list?ns=127.0.0.1:5001", 404, "NAME_UNKNOWN"],
  ["/v2/a/tags/list?ns=docker.io:8443", 404, "NAME_UNKNOWN"],
  ["/v2/a/tags/list?ns=evil.test", 404, "NAME_UNKNOWN"],
  ["/v2/evil.test/a/manifests/1", 404, "NAME_UNKNOWN"],
  ["/v2/localhost:5001/a/manifests/1", 404, "NAME_UNKNOWN"],
  ["/v2/ghcr.io/manifests/1", 400, "NAME_INVALID"],
  ["/v2/a/tags/list?n=1e3", 400, "UNSUPPORTED"],
  ["/v2/a", 404, "UNSUPPORTED"],
  ["/v2/a/b/c", 404, "UNSUPPORTED"],
  ["/v2/a/_catalog", 404, "UNSUPPORTED"],
  ["/v1/search", 404, "UNSUPPORTED"],
  ["/", 404, "UNSUPPORTED"],
])("%s: %d %s", async (path, status, code) => {
  const raw = await requestRaw(path);
  const [head = "", body = ""] = raw.split("\r\n\r\n");
  expect(head.slice(0, 12)).toBe(`HTTP/1.1 ${status}`);
  expect(JSON.parse(body)).toMatchObject({ errors: [{ code }] });
  expect(body).not.toContain(cache.data);
  expect(body.length).toBeLessThan(600);
});

test("a push is rejected as unsupported, however long its body is", async () => {
  const length = "Content-Length: 5000000000\r\n";
  const raw = await requestRaw("/v2/a/blobs/uploads/", "POST", length);
  expect(raw).toStartWith("HTTP/1.1 405");
  expect(raw).toContain('"UNSUPPORTED"');
});

test("1 KiB of a long path and user agent is logged", async () => {
  const path = `/v2/${"a.".repeat(3000)}`;
  const agent = "b.".repeat(3000);
  await requestRaw(path, "GET", `User-Agent: ${agent}\r\n`);
  await until(() => cache.logs().some((line) => String(line["agent"]).startsWith("b.b.")), {
    what: "the request's log line",
  });
  const line = cache.logs().find((one) => String(one["agent"]).startsWith("b.b."));
  expect([line?.["path"], line?.["agent"]]).toEqual([
    `${path.slice(0, 1023)}…`,
    `${agent.slice(0, 1023)}…`,
  ]);
});

test("a chunked body of the admin API is rejected once it is larger than 64 KiB", async () => {
  const [host = "", port = ""] = cache.adminAddress.split(":");
  const socket = connect(Number(port), host);
  const head = `POST /api/v1/purge HTTP/1.1\r\nHost: ${cache.adminAddress}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`;
  const chunk = " ".repeat(16_384);
  // The last chunk is missing: only a server that counts the bytes responds.
  socket.write(head + `4000\r\n${chunk}\r\n`.repeat(5));
  let text = "";
  for await (const data of socket.setEncoding("latin1")) {
    text += String(data);
    if (text.includes("larger than 65536 bytes")) break;
  }
  expect(text).toStartWith("HTTP/1.1 413");
});

test("the error for an unknown namespace lists the configured ones", async () => {
  const response = await cache.get("/v2/evil.test/a/manifests/1");
  expect(await response.text()).toContain("Cached registries: docker.io, ghcr.io");
});

test("none of these requests reaches the upstream or the store", async () => {
  expect(upstream.requests()).toEqual([]);
  expect(await storedBlobs(cache.data)).toEqual([]);
  expect(await unfinishedFills(cache.data)).toEqual([]);
});

/**
 * Sends a request with exactly this path, which fetch would normalise, and returns the raw
 * response.
 */
async function requestRaw(path: string, method = "GET", headers = ""): Promise<string> {
  const [host = "", port = ""] = cache.address.split(":");
  const socket = connect(Number(port), host);
  const line = `${method} ${path} HTTP/1.1`;
  socket.write(`${line}\r\nHost: cache.test\r\nConnection: close\r\n${headers}\r\n`);
  let text = "";
  for await (const chunk of socket.setEncoding("latin1")) text += String(chunk);
  return text;
}

const entrepot = new URL("../bin/entrepot", import.meta.url).pathname;

function serve(data: string, ...args: string[]) {
  const ports = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
  return run([entrepot, "serve", "--data", data, ...ports, ...args]);
}

test.each([
  ["an unknown key", "upstream:\n  ghcr.io: {}\n", "entrepot.yaml:1:1: ", "upstreams"],
  ["a wrong type", "upstreams:\n  ghcr.io:\n    port: high\n", "entrepot.yaml:3:11: ", "number"],
  [
    "two upstreams on one port",
    "upstreams:\n  ghcr.io: { port: 5010 }\n  quay.io: { port: 5010 }\n",
    "entrepot.yaml:3:20: ",
    "5010",
  ],
  ["a YAML syntax error", "upstreams: [\n", "entrepot.yaml:2:1: ", ""],
])("a configuration with %s prevents the start", async (_, text, position, word) => {
  await using dir = await tempDir("config");
  await writeFile(dir.file("entrepot.yaml"), text);
  const { code, stderr } = await serve(dir.file("data"), "--config", dir.file("entrepot.yaml"));
  expect(code).toBe(2);
  expect(stderr).toContain(position);
  expect(stderr).toContain(word);
});

test("an unusable data directory prevents the start, and the error names the path", async () => {
  await using dir = await tempDir("data");
  await writeFile(dir.file("taken"), "a file");
  await mkdir(dir.file("home"));
  const { code, stderr } = await serve(dir.file("taken/data"));
  expect(code).toBe(1);
  expect(stderr).toContain(dir.file("taken/data"));

  await writeFile(dir.file("home/blobs"), "a file");
  const home = await serve(dir.file("home"));
  expect([home.code, home.stderr]).toEqual([
    1,
    `entrepot: the cache's storage failed: cannot create ${dir.file("home/blobs")}: a file exists where a directory is needed (EEXIST)\n`,
  ]);
});

test.each([
  [["serve", "--lisen", "x"], "--listen"],
  [["serve", "--listen", "nonsense"], "--listen"],
  [["serve", "--config", "/nowhere/entrepot.yaml"], "/nowhere/entrepot.yaml"],
  [["sevre"], "serve"],
])(
  "the invalid arguments %j exit with 2 and a message that names the cause",
  async (args, word) => {
    const { code, stderr } = await run([entrepot, ...args]);
    expect(code).toBe(2);
    expect(stderr).toContain(word);
  },
);
