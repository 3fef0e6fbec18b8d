import { expect, test } from "bun:test";
import { z } from "zod";
import { pageQuery, queryFlag } from "../../api/page.ts";
import { RefusedError } from "../../cache/retention/refused-error.ts";
import { operation, type Right } from "./operation.ts";
import { Router } from "./router.ts";

const echo = z.looseObject({}).meta({ id: "Echo" });

const router = new Router([
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
      if (params.name === "broken") throw new Error("the disk fails");
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
]);

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
  ["GET", "/things?__proto__=1", {}, 400, 'Unrecognized key: "__proto__"'],
  ["GET", "/things?constructor=1", {}, 400, 'Unrecognized key: "constructor"'],
  ["GET", "/things/newest?x=1", {}, 400, 'the query has "x" → leave it out'],
  ["GET", "/things?limit=many", {}, 400, "expected number"],
  ["GET", "/things?limit=1001", {}, 400, "<=1000"],
  ["GET", "/things?all=yes", {}, 400, "all"],
  ["GET", "/things/newest", {}, 200, '{"newest":true}'],
  ["GET", "/things/a%2Fb%3A1", {}, 200, '{"name":"a/b:1"}'],
  ["GET", "/things/%zz", {}, 400, '"%zz" is no percent-encoded text'],
  ["GET", "/things/", {}, 404, "there is no endpoint /api/v1/things/ → GET /api/v1/openapi.json"],
  ["GET", "/things/a/b", {}, 404, "there is no endpoint"],
  ["GET", "/nothing", {}, 404, "there is no endpoint /api/v1/nothing"],
  ["GET", "/things/none", {}, 404, "there is none → ask for another"],
  ["GET", "/things/broken", {}, 500, "the disk fails → look at the log"],
  ["GET", "/things/a-name-that-is-too-long", {}, 400, "<=20"],
  ["PUT", "/things", {}, 405, "PUT is not a method of /api/v1/things → use GET or POST"],
  ["POST", "/things", { body: '{"name":"a"}' }, 201, '{"name":"a"}'],
  ["POST", "/things", { body: "{}", right: "read" }, 403, "send the admin token"],
  ["POST", "/things", { body: '{"name":"a"}', type: "text/plain" }, 415, "send JSON"],
  ["POST", "/things", { body: '{"name":"a"}', type: "" }, 415, "the body has no Content-Type"],
  ["POST", "/things", { body: "{name:1}" }, 400, "the body is not valid JSON"],
  ["POST", "/things", { body: '{"name":1}' }, 400, "expected string"],
  ["POST", "/things", { body: '{"name":"a","b":1}' }, 400, 'Unrecognized key: "b"'],
  ["POST", "/things", {}, 400, "expected string"],
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
  expect(() => new Router([...router.operations, ...other])).toThrow(
    "there are two operations DELETE /things/{}",
  );
  expect(() => new Router([...again, ...again])).toThrow("there are two operations");
});
