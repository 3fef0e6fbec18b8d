import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { OCI_INDEX } from "../src/oci/media-types.ts";
import { contentOf } from "./harness/images/content.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { SharedCache } from "./harness/cache/shared-cache.ts";
import * as faults from "./harness/faults/faults.ts";
import { artifact, fallbackTag, referrersIndex, textImage } from "./harness/images/images.ts";
import { type Rule, startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { until } from "./harness/waiting.ts";

const image = textImage();
const signature = artifact(image);
const pathIn = (repository: string) => `${repository}/referrers/${image.manifest.digest}`;
const path = pathIn("app");
const shared = new SharedCache();

/** A registry with a signed image, and one that only answers for its referrers as `api` says. */
async function setUp(api: Rule, settings: object = {}) {
  const upstream = await startScriptedUpstream();
  upstream.add("app", image, "1");
  upstream.add("app", signature);
  upstream.respond((request) => (request.kind === "referrers" ? api(request) : undefined));
  const added = await shared.add({ ...localUpstream(upstream.url), ...settings });
  const get = (of: string) => added.cache.get(added.path(of));
  return {
    upstream,
    /** The digests of the referrers, or the status if it is not 200. */
    async list(repository = "app") {
      const response = await get(pathIn(repository));
      if (response.status !== 200) return response.status;
      expect(response.headers.get("content-type")).toBe(OCI_INDEX);
      // The distribution-spec defines the format of this response.
      const { manifests } = (await response.json()) as { manifests: { digest: string }[] };
      return manifests.map(({ digest }) => digest);
    },
    status: async (of: string) => (await get(of)).status,
    cacheStatus: async (of = path) => (await get(of)).headers.get("cache-status"),
    async [Symbol.asyncDispose]() {
      added[Symbol.dispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

const ok = (type: string, body: string | Uint8Array<ArrayBuffer>): faults.Fault => ({
  status: 200,
  headers: { "Content-Type": type },
  body,
});
const json = (body: unknown): faults.Fault => ok("application/json", JSON.stringify(body));

/** Each answer is that of a repository of its own. */
const LACKS_API = new Map<string, faults.Fault>([
  ...[204, 400, 404, 405, 406, 410, 414, 415, 422, 501].map((status): [string, faults.Fault] => [
    `status-${status}`,
    faults.errorResponse(status),
  ]),
  ["redirect-to-a-web-page", faults.redirect("/console", 302)],
  ["web-page", faults.htmlPage],
  ["web-page-with-405", { ...faults.htmlPage, status: 405 }],
  ["text", ok("text/plain", "not supported")],
  ["nothing", ok(OCI_INDEX, "")],
  ["empty-object", json({})],
  ["error-with-200", json({ errors: [{ code: "UNSUPPORTED" }] })],
  ["empty-array", json([])],
  ["null", json(null)],
  ["image-manifest", json({ schemaVersion: 2, config: {}, layers: [] })],
  ["manifests-that-are-no-array", json({ schemaVersion: 2, manifests: "none" })],
]);

test("without the API, in whichever way a registry says so, the referrers tag is read", async () => {
  await using at = await setUp(({ repository }) => LACKS_API.get(repository));
  at.upstream.addFile("/console", contentOf("<html>", "text/html"));
  const seen: Record<string, unknown> = {};
  const expected: Record<string, unknown> = {};
  for (const name of LACKS_API.keys()) {
    const before = await at.list(name);
    at.upstream.add(name, referrersIndex([signature]), fallbackTag(image));
    seen[name] = [before, await at.list(name)];
    expected[name] = [[], [signature.manifest.digest]];
  }
  expect(seen).toEqual(expected);
  expect(await at.status("app/manifests/1")).toBe(200);
});

test("an index whose manifests are null is an empty list", async () => {
  await using at = await setUp(() => ok(OCI_INDEX, '{"schemaVersion":2,"manifests":null}'));
  at.upstream.add("app", referrersIndex([signature]), fallbackTag(image));
  expect(await at.list()).toEqual([]);
});

test.each([
  ["403", faults.errorResponse(403), 403],
  ["500", faults.errorResponse(500), 502],
  ["503 and a web page", { ...faults.htmlPage, status: 503 }, 502],
  ["an index that is cut off", ok(OCI_INDEX, '{"schemaVersion":2,"manifests":[{"digest":'), 502],
  ["an index in Latin-1", ok(OCI_INDEX, Buffer.from('{"manifests":[{"a":"é"}]}', "latin1")), 502],
  ["a closed connection", { hangUp: "reset" }, 502],
] as const)("a failure is no empty list: %s", async (_, answer, status) => {
  await using at = await setUp(() => answer);
  at.upstream.add("app", referrersIndex([signature]), fallbackTag(image));
  expect([status, await at.status(path)]).toEqual([status, status]);
  expect(await at.status("app/manifests/1")).toBe(200);
});

test.each([
  ["404", faults.errorResponse(404)],
  ["405", faults.errorResponse(405)],
  ["a web page", faults.htmlPage],
  ["an empty object", json({})],
])("a later page that is missing is no end of the list: %s", async (_, answer) => {
  const first = { ...json({ manifests: [{ digest: "x" }] }) };
  const next = { ...first.headers, Link: '<?page=2>; rel="next"' };
  await using at = await setUp(({ query }) =>
    query.has("page") ? answer : { ...first, headers: next },
  );
  expect(await at.list()).toBe(502);
});

test.each([
  ["405", faults.errorResponse(405)],
  ["a web page", faults.htmlPage],
  ["an empty object", json({})],
])("a mirror without the API is no reason to leave it: %s", async (_, answer) => {
  await using mirror = await startScriptedUpstream();
  mirror.add("app", image, "1");
  mirror.respond(({ kind }) => (kind === "referrers" ? answer : undefined));
  const mirrors = [{ ...localUpstream(mirror.url), resolve: true }];
  await using at = await setUp(() => undefined, { mirrors });
  expect(await at.list()).toEqual([signature.manifest.digest]);
  expect(await at.status("app/manifests/1")).toBe(200);
  expect(at.upstream.requests({ kind: "manifest" })).toEqual([]);
});

describe("Cache-Status says `stored` only where it is", () => {
  test("not for an empty list, which is not used without asking again", async () => {
    await using at = await setUp(() => json({ manifests: [] }));
    expect(await at.status("app/manifests/1")).toBe(200);
    expect(await at.cacheStatus()).toBe("entrepot; fwd=miss");
    at.upstream.respond();
    expect(await at.cacheStatus()).toContain("; stored");
    expect(await at.cacheStatus()).toBe("entrepot; hit");
  });

  test("not where the metadata cannot be written", async () => {
    await using upstream = await startScriptedUpstream();
    upstream.add("app", image, "1");
    upstream.add("app", signature);
    const config = { upstreams: { "reg.test": localUpstream(upstream.url) } };
    await using cache = await startEntrepot({ config });
    const cacheStatus = async (of: string) =>
      (await cache.get(`/v2/${of}?ns=reg.test`)).headers.get("cache-status");
    using metadata = new Database(join(cache.data, "metadata.db"));
    for (const table of ["listings", "links"]) {
      metadata.run(
        `create trigger no_${table} before insert on ${table} begin select raise(abort, 'no'); end`,
      );
    }
    const manifest = `app/manifests/${image.manifest.digest}`;
    expect(await cacheStatus("app/tags/list")).toBe("entrepot; fwd=miss");
    // On a slow disk, the client does not wait for it: what is being stored is said to be.
    const unstored = "entrepot; fwd=miss; detail=unstored";
    await until(async () => (await cacheStatus(manifest)) === unstored, { what: "the failure" });
    metadata.run("drop trigger no_links");
    expect(await cacheStatus(manifest)).toBe("entrepot; fwd=miss; stored");
    expect(await cacheStatus(path)).toBe("entrepot; fwd=miss");
  });
});

test.each([
  ["an empty object", json({})],
  ["an error of status 200", json({ errors: [] })],
  ["405", faults.errorResponse(405)],
])("a tag list that is none is no empty list: %s", async (_, answer) => {
  await using at = await setUp(() => undefined);
  at.upstream.respond(({ kind }) => (kind === "tags" ? answer : undefined));
  expect(await at.status("app/tags/list")).toBe(502);
  at.upstream.respond(({ kind }) => (kind === "tags" ? json({ name: "app" }) : undefined));
  expect(await at.status("app/tags/list")).toBe(200);
});
