import { expect, test } from "bun:test";
import { digestOf } from "../oci/digest.ts";
import { faultOf, registry, repository, serve, tag } from "./upstreamtest/test-servers.ts";

const app = repository("team/app");
const manifestDigest = digestOf(new TextEncoder().encode('{"schemaVersion":2}'));

test("a tag page has the valid tags and says whether there are more", async () => {
  using server = serve(({ path }) =>
    path.includes("last=")
      ? Response.json({ name: "team/app", tags: null })
      : Response.json(
          { name: "team/app", tags: ["v1", "not valid", 7, "v2"], manifest: {} },
          { headers: { link: '</v2/team/app/tags/list?last=v2&n=1000>; rel="next"' } },
        ),
  );
  const subject = registry(server.port);
  const first = await subject.listTags(app, { n: 5000 });
  expect(first).toMatchObject({ tags: [tag("v1"), tag("v2")], more: true });
  expect(await subject.listTags(app, { n: 2, next: first.next })).toEqual({
    tags: [],
    more: false,
  });
  expect(await subject.listTags(app, { n: 2, last: "v2" })).toEqual({ tags: [], more: false });
  expect(server.requests.map(({ path }) => path)).toEqual([
    "/v2/team/app/tags/list?n=1000",
    "/v2/team/app/tags/list?last=v2&n=1000",
    "/v2/team/app/tags/list?n=2&last=v2",
  ]);
});

test.each([
  '</v2/team/app/tags/list?cursor=b%2Fc&n=9>; rel="next"',
  '<http://registry.internal:5000/docker/team/app/tags/list?cursor=b%2Fc&n=9>; rel="next"',
  "<?cursor=b%2Fc&n=9>; rel=next",
])("the next tags are requested with the registry's own cursor: %s", async (link) => {
  using server = serve(({ path }) =>
    path.includes("cursor")
      ? Response.json({ tags: ["a"] })
      : Response.json({ tags: ["z"] }, { headers: { link } }),
  );
  const subject = registry(server.port);
  const { next } = await subject.listTags(app, { n: 5 });
  expect((await subject.listTags(app, { n: 5, next })).tags).toEqual([tag("a")]);
  expect(server.requests.at(-1)?.path).toBe("/v2/team/app/tags/list?cursor=b%2Fc&n=9");
});

test("a Link without a position continues a full page, and ends with any other", async () => {
  const all = Array.from({ length: 1000 }, (_, at) => `t${String(at).padStart(4, "0")}`);
  using server = serve(({ path }) => {
    const tags = path.includes("last=") ? ["z"] : all;
    return Response.json({ tags }, { headers: { link: '<https://other.example/>; rel="next"' } });
  });
  const subject = registry(server.port);
  const { next } = await subject.listTags(app, { n: 1000 });
  expect(await subject.listTags(app, { n: 1000, next })).toEqual({ tags: [tag("z")], more: false });
  expect(server.requests.at(-1)?.path).toBe("/v2/team/app/tags/list?n=1000&last=t0999");
});

test("a tag list of 5 MiB is read; without an array, or over 16 MiB, it is invalid", async () => {
  let body = '{"tags":"v1"}';
  using server = serve(() => new Response(body));
  const subject = registry(server.port);
  expect((await faultOf(subject.listTags(app, { n: 1 }))).kind).toBe("upstream-invalid-response");
  body = JSON.stringify({ tags: Array.from({ length: 40_000 }, () => "x".repeat(128)) });
  expect((await subject.listTags(app, { n: 1 })).tags).toHaveLength(40_000);
  body = `{"tags":[],"x":"${"x".repeat(16 * 1024 * 1024)}"}`;
  expect((await faultOf(subject.listTags(app, { n: 1 }))).kind).toBe("upstream-invalid-response");
});

test("referrers are collected over all pages; without the API they are undefined", async () => {
  using server = serve(({ path }) => {
    const page = Number(/page=(\d+)/.exec(path)?.[1] ?? "1");
    const link = `<?page=${page + 1}>; rel="next"`;
    return Response.json(
      { schemaVersion: 2, manifests: [{ digest: `d${page}` }, 7] },
      { headers: page < 3 ? { link } : {} },
    );
  });
  expect(await registry(server.port).referrers(app, manifestDigest)).toEqual([
    { digest: "d1" },
    { digest: "d2" },
    { digest: "d3" },
  ]);
  using without = serve(() => new Response("404 page not found", { status: 404 }));
  expect(await registry(without.port).referrers(app, manifestDigest)).toBeUndefined();
});

test("referrers with endless pages, or with a next page at another host, are invalid", async () => {
  let link = "";
  using server = serve(() => {
    link ||= '<?page>; rel="next"';
    return Response.json({ manifests: [] }, { headers: { link } });
  });
  const subject = registry(server.port);
  expect((await faultOf(subject.referrers(app, manifestDigest))).kind).toBe(
    "upstream-invalid-response",
  );
  expect(server.requests).toHaveLength(20);
  link = '<http://evil.example/v2/>; rel="next"';
  expect((await faultOf(subject.referrers(app, manifestDigest))).kind).toBe(
    "upstream-invalid-response",
  );
  expect(server.requests).toHaveLength(21);
});
