import { afterAll, beforeAll, expect, test } from "bun:test";
import { connect } from "node:net";
import { z } from "zod";
import { openUnreportedStorage } from "../../../test/harness/faults/unreported-storage.ts";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import { FIXED } from "../../commands/serve/live-configuration.ts";
import { AdminAccess } from "../access/admin-access.ts";
import { eventStream, type ServerEvent } from "../api/event-stream.ts";
import { Failures } from "../api/failures.ts";
import { createLog } from "../../telemetry/log.ts";
import { Jobs } from "../api/jobs/job-table.ts";
import { operation } from "../api/operation.ts";
import { AdminApi } from "./admin-api.ts";
import { listenForAdmin } from "./admin-listener.ts";

const TOKEN = "a-token-of-some-length";
/** Bun looks every four seconds: with fewer than five, an event every half second might be too late. */
const IDLE_SECONDS = 5;
/** When an idle connection is closed at the latest, in milliseconds: on a busy machine, too. */
const CLOSED_MS = 40_000;

const closing = new AsyncDisposableStack();
let port: number;

async function* ticks(): AsyncGenerator<ServerEvent> {
  for (let tick = 1; tick <= 24; tick += 1) {
    await Bun.sleep(500);
    yield { data: tick };
  }
}

beforeAll(async () => {
  const dir = closing.use(await tempDir("admin-listener"));
  const storage = closing.use(await openUnreportedStorage(dir.file("data")));
  const answer = z.looseObject({}).meta({ id: "Slow" });
  const events = { type: "text/event-stream", schema: z.string(), description: "ticks" };
  const common = { method: "GET", tag: "test", summary: "test", right: "read" } as const;
  const failures = new Failures(createLog({ format: "json", level: "silent" }));
  const api = new AdminApi({
    storage,
    failures,
    adopt: () => Promise.reject(new Error("not here")),
    ...FIXED,
    pulled: { settled: async () => {}, storing: 0 },
    version: "1",
    jobs: closing.use(new Jobs(failures)),
    status: () => Promise.reject(new Error("not here")),
    operations: [
      operation({
        ...common,
        id: "ticks",
        path: "/ticks",
        answer: events,
        handle: () => eventStream(ticks()),
      }),
      operation({
        ...common,
        id: "slow",
        path: "/slow",
        answer,
        handle: () => Bun.sleep(9000).then(() => ({ slow: true })),
      }),
    ],
  });
  const server = listenForAdmin({
    host: "127.0.0.1",
    access: new AdminAccess({ admin: [TOKEN], read: [] }),
    address: { host: "127.0.0.1", port: 0 },
    metrics: async () => "",
    stopping: new AbortController().signal,
    problem: () => undefined,
    api,
    idleTimeout: IDLE_SECONDS,
  });
  closing.defer(() => server.stop(true));
  port = server.port ?? expect.unreachable();
});
afterAll(() => closing.disposeAsync());

/** Sends text, and reads until the other side closes the connection. */
async function sent(text: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  let received = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    received += chunk;
  });
  const { promise, resolve } = Promise.withResolvers<string>();
  const late = setTimeout(() => resolve(`open after ${CLOSED_MS} ms: ${received}`), CLOSED_MS);
  socket.on("close", () => resolve(received)).on("error", () => resolve(received));
  socket.write(text);
  const all = await promise;
  clearTimeout(late);
  socket.destroy();
  return all;
}

const HEAD = `Host: localhost\r\nAuthorization: Bearer ${TOKEN}\r\n`;
const BODY = "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n";

const closed: readonly (readonly [name: string, text: string, received: string])[] = [
  ["half a head", `GET /api/v1/status HTTP/1.1\r\nHost: lo`, ""],
  ["half a body", `POST /api/v1/gc HTTP/1.1\r\n${HEAD}${BODY}{"a":`, ""],
  [
    "half a body without a token",
    `POST /api/v1/gc HTTP/1.1\r\nHost: localhost\r\n${BODY}{"a":`,
    "401",
  ],
  [
    "nothing after an answer of 401",
    "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "401",
  ],
  ["nothing after an answer of 404", `GET /api/v1/none HTTP/1.1\r\n${HEAD}\r\n`, "404"],
  ["nothing after an answer of 200", `GET /api/v1/jobs HTTP/1.1\r\n${HEAD}\r\n`, '"items":[]'],
  ["nothing after an answer that took long", `GET /api/v1/slow HTTP/1.1\r\n${HEAD}\r\n`, "slow"],
  [
    "half a request after an answer",
    `GET /api/v1/jobs HTTP/1.1\r\n${HEAD}\r\nGET /api/v1/jobs HTTP/1.1\r\nHost: lo`,
    '"items":[]',
  ],
  ["nothing after events have ended", `GET /api/v1/ticks HTTP/1.1\r\n${HEAD}\r\n`, "data: 24"],
];

test.concurrent.each(closed)(
  "the connection of a client that sends %s is closed",
  async (_, text, received) => {
    const all = await sent(text);
    expect(all).not.toStartWith("open after");
    if (received === "") expect(all).toBe("");
    else expect(all).toContain(received);
  },
  60_000,
);

const JSON_TYPE = "application/json";
const HTML = "text/html,application/xhtml+xml";

type Refusal = [
  request: string,
  accept: string,
  status: number,
  type: string,
  allow: string | null,
];
const PROBLEM = "application/problem+json";
test.each<Refusal>([
  ["GET /api/v1/none", "*/*", 404, PROBLEM, null],
  ["GET /api/v1", "*/*", 404, PROBLEM, null],
  ["GET /api/v1/", HTML, 404, PROBLEM, null],
  ["GET /api", "*/*", 404, PROBLEM, null],
  ["GET /api/", "*/*", 404, PROBLEM, null],
  ["GET /api/v2/status", HTML, 404, PROBLEM, null],
  ["POST /api/v2/status", "*/*", 404, PROBLEM, null],
  ["PATCH /api/v1/status", "*/*", 405, PROBLEM, "GET, HEAD"],
  ["OPTIONS /api/v1/pins", "*/*", 405, PROBLEM, "GET, HEAD, POST"],
  ["DELETE /api", "*/*", 404, PROBLEM, null],
  ["GET /none", JSON_TYPE, 404, PROBLEM, null],
  ["GET /assets/none.js", JSON_TYPE, 404, PROBLEM, null],
  ["POST /images", JSON_TYPE, 405, PROBLEM, "GET, HEAD"],
  ["PUT /login", JSON_TYPE, 405, PROBLEM, "GET, HEAD, POST"],
  ["GET /logout", JSON_TYPE, 405, PROBLEM, "POST"],
  ["GET /apis", "*/*", 404, "text/plain;charset=utf-8", null],
  ["PUT /login", "*/*", 405, "text/plain;charset=utf-8", "GET, HEAD, POST"],
])("%s for %s is refused with %d as %s", async (request, accept, status, type, allow) => {
  const [method = "", path = ""] = request.split(" ");
  const headers = { authorization: `Bearer ${TOKEN}`, accept };
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers });
  const { headers: got } = response;
  expect([response.status, got.get("content-type"), got.get("allow")]).toEqual([
    status,
    type,
    allow,
  ]);
  if (type !== PROBLEM) return;
  expect(await response.json()).toMatchObject({ status, next: expect.stringMatching(/.../) });
});

test("below /api, who has no token gets a problem and no login", async () => {
  const response = await fetch(`http://127.0.0.1:${port}/api/v2/x`, { redirect: "manual" });
  expect([response.status, response.headers.get("content-type")]).toEqual([401, PROBLEM]);
});
