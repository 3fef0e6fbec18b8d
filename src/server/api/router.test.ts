import { expect, test } from "bun:test";
import { z } from "zod";
import { pageQuery, queryFlag } from "../../api/page.ts";
import { RefusedError } from "../../cache/retention/refused-error.ts";
import { operation, type Right } from "./operation.ts";
import { createLog } from "../../telemetry/log.ts";
import { Failures } from "./failures.ts";
import { Router } from "./router.ts";

const echo = z.looseObject({}).meta({ id: "Echo" });

interface Logged {
  readonly level: string;
  readonly err: { readonly message: string; readonly stack: string };
}

const logged: Logged[] = [];
const failures = new Failures(
  createLog({
    format: "json",
    level: "info",
    stream: { write: (line) => void logged.push(JSON.parse(line)) },
  }),
);

const router = new Router(
  [
    operation({
      id: "listThings",
      method: "GET",
      path: "/things",
      tag: "things",
      summary: "Lists things",
      right: "read",
      query: z.strictObject({ ...pageQuery, all: queryFlag, kind: z.array(z.string()).optional() }),
      answer: echo,
      handle: ({ query }) => query,
    }),
    operation({
      id: "getThing",
      method: "GET",
      path: "/things/{name}",
      tag: "things",
      summary: "One thing",
      right: "read",
      params: z.strictObject({ name: z.string().max(20) }),
      answer: echo,
      refusals: [404],
      handle({ params }) {
        if (params.name === "none")
          throw new RefusedError("no-match", "there is none", "ask for another");
        if (params.name === "broken")
          throw new Error("the disk fails at https://user:secret@store.test/a?sig=secret");
        return params;
      },
    }),
    operation({
      id: "getNewestThing",
      method: "GET",
      path: "/things/newest",
      tag: "things",
      summary: "The newest thing",
      right: "read",
      answer: echo,
      handle: () => ({ newest: true }),
    }),
    operation({
      id: "makeThing",
      method: "POST",
      path: "/things",
      tag: "things",
      summary: "Makes a thing",
      right: "admin",
      status: 201,
      body: z.strictObject({ name: z.string() }),
      answer: echo,
      maxBody: 100,
      handle: ({ body }) => body,
    }),
    operation({
      id: "deleteThing",
      method: "DELETE",
      path: "/things/{name}",
      tag: "things",
      summary: "Deletes a thing",
      right: "admin",
      params: z.strictObject({ name: z.string() }),
      handle: () => undefined,
    }),
  ],
  failures,
);

interface Sent {
  readonly body?: string;
  readonly type?: string;
  readonly right?: Right;
}

async function ask(method: string, path: string, sent: Sent = {}): Promise<[number, string]> {
  const { body, type = "application/json", right } = sent;
  const headers = type === "" ? {} : { "content-type": type };
  const request = new Request(`http://localhost/api/v1${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body: new Blob([body]).stream() }),
  });
  const response = await router.respond(request, right);
  const text = await response.text();
  if (response.ok) return [response.status, text];
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  const problem = z
    .strictObject({
      type: z.literal(`urn:entrepot:problem:${response.status}`),
      title: z.string(),
      status: z.literal(response.status),
      detail: z.string(),
      next: z.string(),
      instance: z.string().startsWith("urn:uuid:").optional(),
    })
    .parse(text === "" ? {} : JSON.parse(text));
  return [response.status, `${problem.detail} → ${problem.next}`];
}

type Case = [method: string, path: string, sent: Sent, status: number, answer: string];
const cases: Case[] = [
  ["GET", "/things", {}, 200, '{"limit":100,"all":false}'],
  [
    "GET",
    "/things?limit=2&all=true&kind=a&kind=b",
    {},
    200,
    '{"limit":2,"all":true,"kind":["a","b"]}',
  ],
  ["GET", "/things?kind=a", {}, 200, '{"limit":100,"all":false,"kind":["a"]}'],
  ["GET", "/things?limit=1&limit=2", {}, 400, 'the query has "limit" 2 times → give it once'],
  [
    "GET",
    "/things?__proto__=1",
    {},
    400,
    'no parameter "__proto__" of the query: there is cursor, limit',
  ],
  ["GET", "/things?constructor=1", {}, 400, 'no parameter "constructor" of the query'],
  ["GET", "/things/newest?x=1", {}, 400, 'the query has "x" → leave it out'],
  [
    "GET",
    "/things?limit=many",
    {},
    400,
    'parameter "limit" of the query is "many": it must be a number → mend that',
  ],
  [
    "GET",
    "/things?limit=1001",
    {},
    400,
    'parameter "limit" of the query is "1001": it must be at most 1000',
  ],
  [
    "GET",
    "/things?all=yes",
    {},
    400,
    'parameter "all" of the query is "yes": it must be "true" or "false"',
  ],
  ["GET", "/things/newest", {}, 200, '{"newest":true}'],
  ["GET", "/things/a%2Fb%3A1", {}, 200, '{"name":"a/b:1"}'],
  ["GET", "/things/%zz", {}, 400, '"%zz" is no percent-encoded text'],
  ["GET", "/things/", {}, 404, "there is no endpoint /api/v1/things/ → GET /api/v1/openapi.json"],
  ["GET", "/things/a/b", {}, 404, "there is no endpoint"],
  ["GET", "/nothing", {}, 404, "there is no endpoint /api/v1/nothing"],
  ["GET", "/things/none", {}, 404, "there is none → ask for another"],
  [
    "GET",
    "/things/broken",
    {},
    500,
    "the disk fails at https://store.test/a?[redacted] → look for ",
  ],
  [
    "GET",
    "/things/a-name-that-is-too-long",
    {},
    400,
    'parameter "name" of the path is "a-name-that-is-too-long": it must have at most 20',
  ],
  ["PUT", "/things", {}, 405, "PUT is not a method of /api/v1/things → use GET or POST"],
  ["POST", "/things", { body: '{"name":"a"}' }, 201, '{"name":"a"}'],
  ["POST", "/things", { body: "{}", right: "read" }, 403, "send the admin token"],
  ["POST", "/things", { body: '{"name":"a"}', type: "text/plain" }, 415, "send JSON"],
  ["POST", "/things", { body: '{"name":"a"}', type: "" }, 415, "the body has no Content-Type"],
  [
    "POST",
    "/things",
    { body: '{"name":"a"}', type: "application/json; charset=UTF-8" },
    201,
    '{"name":"a"}',
  ],
  ["POST", "/things", { body: '{"name":"a"}', type: "Application/JSON;v=1" }, 201, '{"name":"a"}'],
  ...[
    "application/json-patch+json",
    "application/json5",
    "application/problem+json",
    "text/json",
    "application/json, text/plain",
    "application/json; charset=utf-16",
  ].map((type): Case => ["POST", "/things", { body: "[]", type }, 415, `the body is "${type}"`]),
  ["POST", "/things", { body: "{name:1}" }, 400, "the body is not valid JSON"],
  ["POST", "/things", { body: '{"name":1}' }, 400, "field /name of the body is 1: it must be text"],
  [
    "POST",
    "/things",
    { body: '{"name":"a","b":1}' },
    400,
    "no field /b of the body: there is name",
  ],
  ["POST", "/things", {}, 400, "field /name of the body is missing: it must be text"],
  ["POST", "/things", { body: `"${"x".repeat(100)}"` }, 413, "larger than 100 bytes → send less"],
  ["DELETE", "/things/a", { type: "" }, 204, ""],
  ["DELETE", "/things/a", { body: "{}" }, 204, ""],
  ["DELETE", "/things/a", { body: '{"a":1}' }, 400, "takes no body"],
  ["DELETE", "/things/a", { right: "read" }, 403, "only allows to read"],
];

for (const [method, path, sent, status, answer] of cases) {
  const shown = [JSON.stringify(sent.body)?.slice(0, 30), sent.type, sent.right];
  const request = [method, path, ...shown.filter(Boolean)].join(" ");
  test(`${request} is answered with ${status}`, async () => {
    const [got, text] = await ask(method, path, sent);
    expect([got, text]).toEqual([status, status < 300 ? answer : expect.stringContaining(answer)]);
  });
}

test("HEAD is answered as GET is, without the body", async () => {
  expect(await ask("HEAD", "/things/newest")).toEqual([200, ""]);
});

test("two operations at one place are refused when the router is made", () => {
  const again = router.operations.filter(({ id }) => id === "deleteThing");
  const other = again.map((one) => Object.assign({}, one, { id: "x", path: "/things/{other}" }));
  expect(() => new Router([...router.operations, ...other], failures)).toThrow(
    "there are two operations DELETE /things/{}",
  );
  expect(() => new Router([...again, ...again], failures)).toThrow("there are two operations");
});

test("what nobody has expected is logged once, with its stack and without secrets", async () => {
  logged.length = 0;
  const traceId = "0af7651916cd43dd8448eb211c80319c";
  const request = new Request("http://localhost/api/v1/things/broken", {
    headers: { traceparent: `00-${traceId}-b7ad6b7169203331-01`, authorization: "Bearer secret-1" },
  });
  const problem: unknown = await (await router.respond(request)).json();
  const { instance } = z.object({ instance: z.string() }).parse(problem);
  const id = instance.replace("urn:uuid:", "");
  expect(problem).toMatchObject({ next: `look for ${id} in the log of the cache, and try again` });
  expect(logged).toEqual([
    expect.objectContaining({
      level: "error",
      operation: "getThing",
      request: id,
      trace_id: traceId,
      msg: "an operation of the admin API failed",
    }),
  ]);
  expect(logged[0]?.err.stack).toContain("router.test.ts");
  expect(JSON.stringify([logged, problem])).not.toContain("secret");
  for (const path of ["/things/none", "/nothing", "/things?limit=many"]) await ask("GET", path);
  expect(logged).toHaveLength(1);
});
