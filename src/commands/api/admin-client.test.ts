import { expect, test } from "bun:test";
import { Gate, until } from "../../../test/harness/waiting.ts";
import type { Job } from "../../api/jobs.ts";
import { evictedSchema } from "../../api/upkeep.ts";
import { createLog } from "../../telemetry/log.ts";
import { Failures } from "../../server/api/failures.ts";
import { Jobs } from "../../server/api/jobs/job-table.ts";
import { jobOperations } from "../../server/api/operations/jobs.ts";
import { upkeepOperations } from "../../server/api/operations/upkeep.ts";
import { Router } from "../../server/api/router.ts";
import { AdminClient, AdminError, eachPage } from "./admin-client.ts";
import { runJob } from "./run-job.ts";

/** What a command makes of what a cache sends. */
async function of<Result>(
  fetch: (request: Request) => Response,
  work: (client: AdminClient) => Promise<Result>,
): Promise<Result | string> {
  using server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch });
  const client = new AdminClient({ url: `http://127.0.0.1:${server.port}`, headers: {} });
  return await work(client).catch((error: unknown) => {
    if (error instanceof AdminError) return `${error.status}: ${error.message}`;
    throw error;
  });
}

const problem = { type: "x", title: "x", detail: "the pin is gone", next: "list the pins" };

test.each([
  [404, problem, "404: the pin is gone: list the pins"],
  [500, problem, "500: the pin is gone"],
  [
    401,
    problem,
    "401: the pin is gone. Set ENTREPOT_ADMIN_TOKEN, or give the --config that contains the token",
  ],
  [404, { error: "an older cache" }, "404: the cache responded with status 404"],
])("an answer of %d is an error in words", async (status, body, message) => {
  const answer = () => Response.json({ ...body, status }, { status });
  expect(await of(answer, (client) => client.ask(client.api.GET("/pins")))).toBe(message);
});

test("the pages of a list are asked for one after the other", async () => {
  const answer = ({ url }: Request): Response => {
    const cursor = new URL(url).searchParams.get("cursor") ?? "0";
    const next = cursor === "2" ? {} : { next: String(Number(cursor) + 1) };
    return Response.json({ items: [`of ${cursor}`], ...next });
  };
  const read = async (client: AdminClient): Promise<unknown[]> => {
    const all = eachPage((cursor) =>
      client.ask(
        client.api.GET("/shared-store/objects", {
          params: { query: { ...(cursor && { cursor }) } },
        }),
      ),
    );
    return Array.fromAsync(all);
  };
  expect(await of(answer, read)).toEqual([["of 0"], ["of 1"], ["of 2"]]);
});

const running = {
  id: "1",
  kind: "gc",
  title: "x",
  state: "running",
  startedAt: 1,
  progress: {},
} as const;

/** Runs a job of which the cache sends these events, each list of them in a response of its own. */
function run(...streams: readonly (readonly (Partial<Job> | string)[])[]): Promise<unknown> {
  const answers = streams.map((events) =>
    events.map((event) => {
      if (typeof event === "string") return event;
      return `event: job\ndata: ${JSON.stringify({ ...running, ...event })}\n\n`;
    }),
  );
  const answer = ({ method }: Request): Response => {
    if (method === "POST") return Response.json(running, { status: 202 });
    const events = answers.shift();
    const headers = { "content-type": "text/event-stream" };
    return events ? new Response(events.join(""), { headers }) : gone();
  };
  return of(answer, (client) => runJob(client, client.api.POST("/gc"), evictedSchema));
}

function gone(): Response {
  return Response.json({ ...problem, status: 404 }, { status: 404 });
}

test("a job is followed to its result, its failure or its cancellation", async () => {
  const result = { blobs: 1, bytes: 2 };
  const done = { state: "done", endedAt: 2, result } as const;
  expect(await run([{}, ": still here\n\n", done])).toEqual(result);
  expect(await run([{}], [{}, done])).toEqual(result);
  const failed = { ...problem, status: 409 };
  expect(await run([{}, { state: "failed", endedAt: 2, problem: failed }])).toBe(
    "409: the pin is gone: list the pins",
  );
  expect(await run([{ state: "cancelled", endedAt: 2 }])).toBe(
    "409: cancelled: what was done by then stays done",
  );
});

test.each([[[{}]], [['event: job\ndata: {"id":"1","ki']]])(
  "a cache that stops in the middle of a job is an error: %j",
  async (events) => {
    expect(await run(events)).toBe(
      "503: the cache stopped before it was done: run the command again",
    );
  },
);

test("of a cache that stops while it warms images is told that it goes on", async () => {
  expect(await run([{ kind: "warm" }])).toBe(
    "503: the cache stopped before it was done: it goes on once the cache runs again, as entrepot jobs then shows",
  );
});

test("Ctrl-C cancels the job, and is no end of the process before the job has ended", async () => {
  const failures = new Failures(createLog({ format: "json", level: "silent" }));
  await using jobs = new Jobs(failures);
  const router = new Router(
    [
      ...jobOperations(jobs),
      ...upkeepOperations({
        jobs,
        admin: {
          figures: () => Promise.reject(new Error("not asked for")),
          verify: () => Promise.reject(new Error("not asked for")),
          async collect() {
            // Not before the command follows the job.
            await until(() => process.listenerCount("SIGINT") > 1, { what: "the command follows" });
            process.emit("SIGINT", "SIGINT");
            const cancelled = (): boolean => jobs.all[0]?.state === "cancelling";
            await until(cancelled, { what: "the job is cancelled" });
            return { blobs: 1, bytes: 2 };
          },
        },
      }),
    ],
    failures,
  );
  using server = Bun.serve({ port: 0, fetch: (request) => router.respond(request) });
  const client = new AdminClient({ url: server.url.origin, headers: {} });
  // The signal is for the command, once it follows the job.
  const other = (): void => {};
  process.on("SIGINT", other);
  const ran = runJob(client, client.api.POST("/gc"), evictedSchema).catch(String);
  expect(await ran).toBe(
    "InterruptedError: interrupted: the job was cancelled, and what was done by then stays done",
  );
  process.off("SIGINT", other);
});

test("a job whose end is told before its cancellation is answered is cancelled all the same", async () => {
  const told = new Gate();
  const cancelled = { ...running, state: "cancelled", endedAt: 2 };
  using server = Bun.serve({
    port: 0,
    async fetch({ method }) {
      if (method === "POST") return Response.json(running, { status: 202 });
      if (method === "DELETE") {
        await told.opened;
        return Response.json(cancelled, { status: 202 });
      }
      process.emit("SIGINT", "SIGINT");
      const events = `data: ${JSON.stringify(cancelled)}\n\n`;
      return new Response(events, { headers: { "content-type": "text/event-stream" } });
    },
  });
  const client = new AdminClient({ url: server.url.origin, headers: {} });
  const ran = runJob(client, client.api.POST("/gc"), evictedSchema).catch(String);
  // Nothing shows that it waits for the answer; otherwise, it ends at once.
  await Promise.race([ran, Bun.sleep(50)]);
  told.open();
  expect(await ran).toBe(
    "InterruptedError: interrupted: the job was cancelled, and what was done by then stays done",
  );
});

test("a token that was replaced is read again, once per refusal", async () => {
  const sent: (string | null)[] = [];
  using server = Bun.serve({
    port: 0,
    async fetch(request) {
      const authorization = request.headers.get("authorization");
      sent.push(authorization);
      if (authorization !== "Bearer new") return Response.json(problem, { status: 401 });
      return Response.json(await request.json(), { status: 202 });
    },
  });
  const endpoint = (token: string) => ({
    url: server.url.origin,
    headers: { authorization: `Bearer ${token}` },
  });
  let token = "old";
  const client = new AdminClient(endpoint("old"), () => {
    if (token === "half written") throw new Error("the file is not valid");
    return endpoint(token);
  });
  const purge = () =>
    client
      .ask<unknown>(client.api.POST("/purge", { body: { pattern: "a" } }))
      .catch((error: Error) => error.name);
  expect(await purge()).toBe("AdminError");
  token = "half written";
  expect(await purge()).toBe("AdminError");
  token = "new";
  expect(await purge()).toEqual({ pattern: "a" });
  expect(await purge()).toEqual({ pattern: "a" });
  const [old, now] = ["Bearer old", "Bearer new"];
  expect(sent).toEqual([old, old, old, now, now]);
});

test("a job whose events others read to the limit is looked at until it has ended", async () => {
  let looks = 0;
  const answer = ({ method, url }: Request): Response => {
    if (method === "POST") return Response.json(running, { status: 202 });
    if (url.endsWith("/events")) return Response.json({ ...problem, status: 503 }, { status: 503 });
    looks += 1;
    const done = { state: "done", endedAt: 2, result: { blobs: 1, bytes: 2 } };
    return Response.json(looks < 2 ? running : { ...running, ...done });
  };
  const follow = (client: AdminClient) => runJob(client, client.api.POST("/gc"), evictedSchema);
  expect(await of(answer, follow)).toEqual({ blobs: 1, bytes: 2 });
  expect(looks).toBe(2);
});
