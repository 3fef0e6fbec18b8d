import { ProcessKey } from "../../access/process-key.ts";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { type TempDir, tempDir } from "../../../test/harness/temp-dir.ts";
import { failureOf, Gate, until } from "../../../test/harness/waiting.ts";
import { digestOf } from "../../oci/digest.ts";
import { parseRepositoryName, type UpstreamName } from "../../oci/names.ts";
import type { NodeAnswers } from "../listen/node-answers.ts";
import { listenForNodes } from "../listen/node-listener.ts";
import { RenewablePort } from "../listen/renewable-port.ts";
import type { IncomingRequest } from "../pull/incoming-request.ts";
import { HitWorkers, type HitWorkersOptions } from "./hit-workers.ts";
import type { Hits } from "./messages.ts";
import { programFile } from "../../process/program-file.ts";
import { SharedRemovalLog, RevisionMemory } from "./revision-memory.ts";

const BYTES = new TextEncoder().encode("0123456789");
const DIGEST = digestOf(BYTES);

/** What the main thread answers, by the last component of the path. */
type Responses = Readonly<
  Record<string, (incoming: IncomingRequest) => Response | Promise<Response>>
>;

let dir: TempDir;

beforeAll(async () => {
  dir = await tempDir("workers");
  await writeFile(dir.file("blob"), BYTES);
});

afterAll(() => dir[Symbol.asyncDispose]());

/** A port whose connections workers accept, once they are ready. */
async function setUp(responses: Responses, options: Partial<HitWorkersOptions> = {}) {
  const asked: string[] = [];
  const answers: NodeAnswers = {
    port: undefined,
    pull: (incoming) => {
      const name = incoming.segments.at(-1) ?? "";
      asked.push(name);
      return responses[name]?.(incoming) ?? new Response(null, { status: 404 });
    },
    page: (page) => Response.json({ page }),
  };
  const pathPrefixes: string[] = [];
  const answering = { answers, pathPrefixes, isScarce: () => false };
  const port = new RenewablePort((address, tls) =>
    listenForNodes({ ...answering, address, tls, unreadable: (error) => unreadable.push(error) }),
  );
  const server = port.open({ host: "127.0.0.1", port: 0 });
  const shared = new RevisionMemory();
  const hits: Hits[] = [];
  const deaths: { reason: string; isLast: boolean }[] = [];
  const unreadable: Error[] = [];
  const workers = new HitWorkers({
    count: 1,
    program: programFile("hit-worker"),
    shared,
    key: new ProcessKey(),
    onHits: (more) => hits.push(...more),
    unreadable: (error) => unreadable.push(error),
    onDeath: (death) => deaths.push(death),
    restartMs: 1,
    ...options,
  });
  await workers.start([{ port, answers, pathPrefixes }], undefined);
  const base = `http://127.0.0.1:${server.port}`;
  return {
    asked,
    base,
    shared,
    hits,
    deaths,
    unreadable,
    workers,
    get: (name: string, init: BunFetchRequestInit = {}) =>
      fetch(`${base}/v2/app/blobs/${name}`, init),
    async [Symbol.asyncDispose]() {
      await workers.stop(true);
      await port.stop(true);
    },
  };
}

/** An answer that may be sent again while nothing changes. */
function kept(shared: () => RevisionMemory): Responses[string] {
  return ({ sender }) => {
    const repository = parseRepositoryName("app");
    if (!repository) throw new Error("app is not a name");
    const headers = new Headers({ etag: `"${DIGEST}"` });
    sender?.keep(
      {
        // The tests have no upstreams, whose names are parsed with the settings.
        route: {
          kind: "blob",
          repo: { upstream: "reg.test" as UpstreamName, repository },
          digest: DIGEST,
        },
        access: "open",
        path: "/v2/app/blobs/kept",
        digest: DIGEST,
        body: BYTES,
        size: BYTES.length,
        headers,
        from: 0,
        until: Infinity,
      },
      { revision: shared().revision, removals: shared().now },
    );
    return new Response(BYTES, { headers });
  };
}

test("every kind of response passes through a worker as the main thread makes it", async () => {
  const file = Bun.file(dir.file("blob"));
  const cases: Record<string, { make: () => Response; method?: string; range?: string }> = {
    bytes: {
      make: () => new Response(BYTES, { headers: { "content-type": "a/b", "x-of": "main" } }),
    },
    text: { make: () => new Response("nothing\n", { status: 404 }) },
    empty: { make: () => new Response(null, { status: 304, headers: { etag: '"a"' } }) },
    file: { make: () => new Response(file, { headers: { "content-type": "a/b" } }) },
    part: {
      make: () =>
        new Response(file.slice(2, 5), {
          status: 206,
          headers: { "content-type": "a/b", "content-range": "bytes 2-4/10" },
        }),
      range: "bytes=2-4",
    },
    head: {
      make: () => new Response(null, { headers: { "content-length": "10" } }),
      method: "HEAD",
    },
  };
  const responses = Object.fromEntries(
    Object.entries(cases).map(([name, { make }]) => [name, () => make()]),
  );
  await using at = await setUp(responses);
  using own = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: ({ url }) => cases[url.slice(url.lastIndexOf("/") + 1)]?.make() ?? new Response(),
  });
  const seen = async (url: string, name: string) => {
    const { method = "GET", range } = cases[name] ?? {};
    const response = await fetch(`${url}/v2/app/blobs/${name}`, {
      method,
      headers: range === undefined ? {} : { range },
    });
    const headers = [...response.headers].filter(([header]) => header !== "date");
    return [name, response.status, headers, await response.text()];
  };
  for (const name of Object.keys(cases)) {
    expect(await seen(at.base, name)).toEqual(await seen(String(own.url).slice(0, -1), name));
  }
  expect(at.workers.ready).toBe(1);
  expect(await (await fetch(`${at.base}/healthz`)).json()).toEqual({ page: "health" });
});

test("a stream is read as its client reads, and its chunks stay whole for others", async () => {
  // As those from a pool are, which others read too.
  const chunk = Buffer.from(BYTES.buffer, 2, 4);
  const cancelled = new Gate();
  let pulls = 0;
  await using at = await setUp({
    stream: ({ sender }) => {
      sender?.streams();
      const last = pulls + 3;
      return new Response(
        new ReadableStream<Uint8Array>(
          {
            pull: (controller) => {
              pulls += 1;
              if (pulls <= last) controller.enqueue(chunk);
              else controller.close();
            },
          },
          { highWaterMark: 0 },
        ),
      );
    },
    endless: ({ sender }) => {
      sender?.streams();
      return new Response(
        new ReadableStream<Uint8Array>(
          {
            pull: (controller) => controller.enqueue(new Uint8Array(65_536)),
            cancel: () => cancelled.open(),
          },
          { highWaterMark: 0 },
        ),
      );
    },
    broken: ({ sender }) => {
      sender?.streams();
      return new Response(
        new ReadableStream<Uint8Array>({ pull: () => Promise.reject(new Error("it broke")) }),
      );
    },
  });
  expect(await (await at.get("stream")).text()).toBe("234523452345");
  expect(BYTES.length).toBe(10);
  const client = new AbortController();
  const response = await at.get("endless", { signal: client.signal });
  await response.body?.getReader().read();
  client.abort();
  await cancelled.opened;
  expect(await failureOf(at.get("broken").then((broken) => broken.bytes()))).toContain("socket");
});

test("the sending of a file is followed where it happens, and a file that is gone is told", async () => {
  const ended: number[] = [];
  const size = BYTES.length;
  await using at = await setUp({
    file: ({ sender }) => {
      sender?.follow({ size, ended: (bytes) => ended.push(bytes) });
      return new Response(Bun.file(dir.file("blob")));
    },
    gone: () => new Response(Bun.file(dir.file("gone"))),
  });
  await (await at.get("file")).bytes();
  await until(() => ended.length === 1, { what: "the end" });
  expect(ended).toEqual([size]);
  expect((await at.get("gone")).status).toBe(503);
  await until(() => at.unreadable.length === 1, { what: "the error" });
  expect(at.unreadable[0]).toMatchObject({ code: "ENOENT", path: dir.file("gone") });
});

test("a response is sent again without asking until something changes, and each is told once", async () => {
  let state = new RevisionMemory();
  await using at = await setUp({ kept: (incoming) => kept(() => state)(incoming) });
  state = at.shared;
  const removals = new SharedRemovalLog(state);
  const get = async (headers: Record<string, string> = {}) =>
    (await at.get("kept", { headers: { "user-agent": "test/1", ...headers } })).text();
  const times = async (count: number) => {
    for (let time = 0; time < count; time += 1) expect(await get()).toBe("0123456789");
    return at.asked.splice(0).length;
  };
  expect(await times(4)).toBe(1);
  // A part of it, and conditions, are for the main thread.
  await get({ range: "bytes=1-2" });
  await get({ "if-none-match": '"other"' });
  expect(at.asked.splice(0)).toHaveLength(2);
  state.revision += 1;
  expect(await times(3)).toBe(1);
  removals.add(DIGEST);
  expect(await times(3)).toBe(1);
  await at.workers.collect();
  const told = at.hits.flatMap(({ path, digest, size, requests }) =>
    requests.map((hit) => [path, digest, size, hit.address, hit.userAgent]),
  );
  expect(told).toEqual(
    Array.from({ length: 3 + 2 + 2 }, () => [
      "/v2/app/blobs/kept",
      DIGEST,
      10,
      "127.0.0.1",
      "test/1",
    ]),
  );
});

test("the connections of a worker that ends break, and another one takes its place", async () => {
  const program = dir.file("dies.ts");
  await writeFile(
    program,
    `import "${programFile("hit-worker")}";
     self.addEventListener("message", ({ data }) => { if (data.status === 418) throw new Error("boom"); });`,
  );
  await using at = await setUp(
    {
      fine: () => new Response("fine"),
      fatal: () => new Response(null, { status: 418 }),
    },
    { program },
  );
  expect(await (await at.get("fine")).text()).toBe("fine");
  await at.get("fatal").catch(() => {});
  await until(() => at.deaths.length === 1, { what: "the end" });
  expect(at.deaths[0]).toMatchObject({ isLast: false, reason: expect.stringContaining("boom") });
  // Meanwhile, this thread accepts.
  expect(await (await at.get("fine")).text()).toBe("fine");
  await until(() => at.workers.ready === 1, { what: "another worker" });
  expect(await (await at.get("fine")).text()).toBe("fine");
});

test("where workers end again and again, the main thread goes on without", async () => {
  const program = dir.file("broken.ts");
  await writeFile(program, `throw new Error("it cannot start");`);
  await using at = await setUp({ fine: () => new Response("fine") }, { program });
  await until(() => at.deaths.at(-1)?.isLast, { what: "the last end" });
  expect(at.deaths).toHaveLength(5);
  expect(at.workers.ready).toBe(0);
  expect(await (await at.get("fine")).text()).toBe("fine");
});
