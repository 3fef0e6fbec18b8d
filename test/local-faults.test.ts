import { expect } from "bun:test";
import { connect, type Socket } from "node:net";
import { chmod, writeFile } from "node:fs/promises";
import { statusSchema } from "../src/api/status.ts";
import type { Finding } from "../src/doctor/finding.ts";
import { partialName } from "../src/store/partial-name.ts";
import { bytesOf, randomContent } from "./harness/images/content.ts";
import * as faults from "./harness/faults/faults.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { textImage } from "./harness/images/images.ts";
import { run } from "./harness/processes.ts";
import { concurrentRealTest } from "./harness/real-components.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { injectSystemFault, withSystemFault } from "./harness/faults/system-faults.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

const LOCAL = {
  EMFILE: "file-descriptors",
  ENOBUFS: "memory",
  ENOMEM: "memory",
  EADDRNOTAVAIL: "ports",
  EPERM: "permission",
} as const;

/** Errors of system calls that this machine causes, whatever Bun makes of them. */
const FAULTS = [
  ["socket", "EMFILE"],
  ["socket", "ENOBUFS"],
  ["connect", "EADDRNOTAVAIL"],
  ["connect", "ENOMEM"],
  ["connect", "EPERM"],
] as const;

const PROGRAM = new URL("../bin/entrepot", import.meta.url).pathname;

async function statusOf(cache: Entrepot) {
  return statusSchema.parse(await (await cache.getAdmin("/api/v1/status")).json());
}

async function problemsOf(cache: Entrepot): Promise<readonly string[]> {
  const text = await (await cache.getAdmin("/metrics")).text();
  return [...text.matchAll(/^entrepot_local_problem\{problem="(\S+)"\} 1$/gm)].map(
    ([, kind = ""]) => kind,
  );
}

/** The status of a GET, and its error, or its warning that it is stale. */
async function get(cache: Entrepot, path: string): Promise<readonly [number, string]> {
  const response = await cache.get(`${path}?ns=reg.test`);
  const text = await response.text();
  return [response.status, response.ok ? (response.headers.get("warning") ?? "") : text];
}

concurrentRealTest("what this machine cannot do is not blamed on any registry", async () => {
  await using upstream = await startScriptedUpstream();
  await using mirror = await startScriptedUpstream();
  const image = textImage({ text: "stored" });
  for (const registry of [upstream, mirror]) registry.add("app", image, "1");
  await using data = await tempDir("data");
  const mirrors = [localUpstream(mirror.url)];
  const upstreams = { "reg.test": { ...localUpstream(upstream.url), tagTtl: "1ms", mirrors } };
  const start = () => startEntrepot({ config: { upstreams }, data: data.file("d") });
  {
    await using cache = await start();
    expect((await get(cache, "/v2/app/manifests/1"))[0]).toBe(200);
  }
  for (const [index, [call, error]] of FAULTS.entries()) {
    const blob = randomContent(1000, index);
    upstream.addBlob("app", blob);
    // A new one has no idle connections.
    await using cache = await start();
    {
      await using _ = await injectSystemFault(cache.pid, { calls: [call], error });
      const unsent = [503, expect.stringContaining(`(${error})`)];
      for (const path of [`blobs/${blob.digest}`, "manifests/2", "tags/list"]) {
        const answer = await get(cache, `/v2/app/${path}`);
        expect([call, ...answer]).toEqual([call, ...unsent]);
        expect(answer[1]).toContain("this machine cannot send a request to reg.test");
      }
      const stale = await get(cache, "/v2/app/manifests/1");
      expect(stale).toEqual([200, expect.stringContaining(`(${error})`)]);
      const { upstreams: states, problems } = await statusOf(cache);
      expect(states[0]?.state).toBe("ok");
      for (const address of states[0]?.addresses ?? []) {
        expect(address).toEqual({
          url: address.url,
          isMirror: address.isMirror,
          circuit: "closed",
        });
      }
      expect(problems).toEqual([expect.stringContaining(`fail on this machine: `)]);
      expect(await problemsOf(cache)).toEqual([LOCAL[error]]);
    }
    const answers = [`blobs/${blob.digest}`, "manifests/1"].map((path) =>
      get(cache, `/v2/app/${path}`),
    );
    expect((await Promise.all(answers)).map(([status]) => status)).toEqual([200, 200]);
    await cache.stop();
  }
});

concurrentRealTest(
  "a name that this machine cannot look up is not said to be missing in DNS",
  async () => {
    const upstreams = { "reg.test": { url: "http://registry.test:5000" } };
    await using cache = await startEntrepot({ config: { upstreams } });
    await using _ = await injectSystemFault(cache.pid, { calls: ["socket"], error: "EMFILE" });
    expect(await get(cache, "/v2/app/manifests/1")).toEqual([
      503,
      expect.stringContaining("no file descriptor left (EMFILE)"),
    ]);
    expect((await statusOf(cache)).upstreams[0]?.state).toBe("ok");
  },
);

concurrentRealTest(
  "a credential helper that this machine cannot start is not run without",
  async () => {
    await using upstream = await startScriptedUpstream();
    const image = textImage({ text: "private" });
    upstream.add("app", image, "1", "2");
    const authorization = `Basic ${Buffer.from("me:secret").toString("base64")}`;
    upstream.respond(({ headers }) =>
      headers.get("authorization") === authorization
        ? undefined
        : faults.unauthorized('Basic realm="reg"'),
    );
    await using dir = await tempDir("helper");
    const helper = dir.file("docker-credential-test");
    await writeFile(helper, `#!/bin/sh\necho '{"Username":"me","Secret":"secret"}'\n`);
    await chmod(helper, 0o755);
    const dockerConfig = dir.file("config.json");
    await writeFile(dockerConfig, JSON.stringify({ credHelpers: { "reg.test": "test" } }));
    const auth = { dockerConfig };
    const config = { upstreams: { "reg.test": { ...localUpstream(upstream.url), auth } } };
    const env = { PATH: `${dir.file("")}:${process.env["PATH"]}` };
    await using cache = await startEntrepot({ config, env });
    const path = "/v2/app/manifests/1";
    for (const [call, error, words] of [
      ["vfork", "EAGAIN", "no process can be started (EAGAIN)"],
      ["socketpair", "EMFILE", "no file descriptor left (EMFILE)"],
    ] as const) {
      await using _ = await injectSystemFault(cache.pid, { calls: [call], error });
      expect(await get(cache, path)).toEqual([503, expect.stringContaining(words)]);
      expect((await statusOf(cache)).upstreams[0]?.credentials).toEqual({ state: "unused" });
    }
    expect(await get(cache, path)).toEqual([200, ""]);
    expect(upstream.requests().every(({ headers }) => headers.has("authorization"))).toBe(false);
    expect(await problemsOf(cache)).toEqual(["file-descriptors", "processes"]);
  },
);

const SLOW_SYNCS = { calls: ["fsync", "fdatasync"], delay: 250 };

concurrentRealTest("a disk that is slow to sync is said to be slow, with its figures", async () => {
  await using upstream = await startScriptedUpstream();
  const blobs = Array.from({ length: 6 }, (_, index) => randomContent(1000, index));
  for (const blob of blobs) upstream.addBlob("app", blob);
  const config = { upstreams: { "reg.test": localUpstream(upstream.url) } };
  await using cache = await startEntrepot({ config });
  await using _ = await injectSystemFault(cache.pid, SLOW_SYNCS);
  const pulls = blobs.map(({ digest }) => get(cache, `/v2/app/blobs/${digest}`));
  expect(await Promise.all(pulls)).toEqual(blobs.map(() => [200, ""]));
  const problem = /^the disk is slow: a sync takes \d+ ms \(the median of the last \d+; /;
  await until(async () => problem.test((await statusOf(cache)).problems[0] ?? ""), {
    what: "the finding",
  });
  expect((await statusOf(cache)).problems).toHaveLength(1);
  expect(await problemsOf(cache)).toEqual(["slow-disk"]);
  const metrics = await (await cache.getAdmin("/metrics")).text();
  expect(metrics).toMatch(
    /^entrepot_disk_operation_duration_seconds_bucket\{le="0\.1",operation="syncing"\} 0$/m,
  );
  const told = () => cache.logs().filter(({ problem: kind }) => kind === "slow-disk");
  await until(() => told().length > 0, { what: "the log line" });
  expect(told()).toHaveLength(1);
  // The doctor measures it, too, and asks the running cache.
  const where = ["--config", cache.configFile, "--data", cache.data, "--admin", cache.adminAddress];
  const doctor = [PROGRAM, "doctor", "--offline", "--json", ...where];
  const { stdout } = await run(withSystemFault(SLOW_SYNCS, doctor));
  const { findings }: { findings: readonly Finding[] } = JSON.parse(stdout);
  const found = (topic: string) => findings.filter((finding) => finding.topic === topic);
  expect(found("disk speed")).toMatchObject([
    { state: "problem", found: expect.stringMatching(/^a sync takes \d+ ms \(the median of 9; /) },
  ]);
  expect(found("machine")).toMatchObject([
    { subject: "slow-disk", found: expect.stringMatching(/^the running cache says: the disk is /) },
  ]);
});

concurrentRealTest(
  "while the disk takes 25 s to open a file, nobody waits for it, and it is told",
  async () => {
    await using upstream = await startScriptedUpstream();
    const [image, blob] = [textImage({ text: "an image" }), randomContent(1000, 1)];
    upstream.add("app", image, "1");
    upstream.addBlob("app", blob);
    const config = { upstreams: { "reg.test": localUpstream(upstream.url) } };
    await using cache = await startEntrepot({ config });
    // Opening a partial download takes longer than a client waits.
    const partials = [partialName(image.manifest.digest, ""), partialName(blob.digest, "reg.test")];
    const files = partials.map((name) => `${cache.data}/fills/${name}`);
    const opening = { calls: ["open", "openat"], paths: files, delay: 25_000 };
    await using _ = await injectSystemFault(cache.pid, opening);
    const paths = ["manifests/1", `blobs/${blob.digest}`];
    const answers = await Promise.all(paths.map((path) => get(cache, `/v2/app/${path}`)));
    expect(answers).toEqual(paths.map(() => [200, ""]));
    await until(async () => (await statusOf(cache)).problems.length > 0, { what: "the finding" });
    const { upstreams, problems } = await statusOf(cache);
    expect(upstreams[0]?.addresses).toEqual([
      { url: `${upstream.url}/`, isMirror: false, circuit: "closed" },
    ]);
    expect(problems).toEqual([expect.stringMatching(/^the disk is slow: opening a file /)]);
  },
);

/** A client that is connected; its request is answered on this connection, which may have to wait. */
class IdleClient {
  readonly #socket: Socket;
  #answer = "";

  constructor({ address }: Entrepot) {
    this.#socket = connect({ host: "127.0.0.1", port: Number(address.split(":")[1]) });
    this.#socket.on("data", (bytes) => (this.#answer += bytes.toString("latin1")));
    this.#socket.on("error", () => {});
  }

  ask(path: string): void {
    this.#socket.write(`GET ${path}?ns=reg.test HTTP/1.1\r\nHost: cache.test\r\n\r\n`);
  }

  /** The bytes of the body of a complete response. */
  get body(): string | undefined {
    const [head, ...rest] = this.#answer.split("\r\n\r\n");
    const body = rest.join("\r\n\r\n");
    const length = /^content-length: (\d+)$/im.exec(head ?? "")?.[1];
    return length === String(body.length) ? body : undefined;
  }

  close(): void {
    this.#socket.destroy();
  }
}

concurrentRealTest(
  "with 256 file descriptors, 400 clients that are connected at once get their hits",
  async () => {
    await using upstream = await startScriptedUpstream();
    const blob = randomContent(20_000, 1);
    upstream.addBlob("app", blob);
    const config = { upstreams: { "reg.test": localUpstream(upstream.url) } };
    const program = ["prlimit", "--nofile=256:256", PROGRAM];
    await using cache = await startEntrepot({ config, program });
    const path = `/v2/app/blobs/${blob.digest}`;
    expect(await get(cache, path)).toEqual([200, ""]);
    const expected = Buffer.from(bytesOf(blob)).toString("latin1");
    const clients = Array.from({ length: 400 }, () => new IdleClient(cache));
    try {
      await until(async () => (await problemsOf(cache)).includes("file-descriptors"), {
        what: "the finding",
      });
      expect((await statusOf(cache)).machine).toMatchObject({
        fileDescriptorLimit: 256,
        problems: [
          { kind: "file-descriptors", text: expect.stringMatching(/has \d+ of 256 open/) },
        ],
      });
      for (const client of clients) client.ask(path);
      await until(() => clients.every(({ body }) => body !== undefined), { what: "all responses" });
      expect(clients.filter(({ body }) => body !== expected)).toEqual([]);
    } finally {
      for (const client of clients) client.close();
    }
    expect(await get(cache, path)).toEqual([200, ""]);
    expect([cache.exitCode, (await statusOf(cache)).upstreams[0]?.state]).toEqual([
      undefined,
      "ok",
    ]);
  },
);
