import { expect, test } from "bun:test";
import { mkdir } from "node:fs/promises";
import { startDockerRegistry } from "./harness/registries/docker-registry.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import type { Fault } from "./harness/faults/faults.ts";
import { mustRun } from "./harness/processes.ts";
import { concurrentRealTest } from "./harness/real-components.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { tempDir } from "./harness/temp-dir.ts";

/** A page of tags as a registry sends it. */
function page(tags: readonly string[], next?: string): Fault {
  return {
    status: 200,
    body: JSON.stringify({ name: "app", tags }),
    headers: { "Content-Type": "application/json", ...(next ? { Link: next } : {}) },
  };
}

/** All tags, by following Links from `path`. */
async function listAll(cache: Entrepot, path: string): Promise<string[]> {
  const listed: string[] = [];
  for (let next: string | undefined = path; next !== undefined;) {
    const response = await cache.get(next);
    expect(response.status).toBe(200);
    // The distribution-spec defines the format of this response.
    const { tags } = (await response.json()) as { tags: string[] };
    listed.push(...tags);
    next = /<([^>]+)>/.exec(response.headers.get("link") ?? "")?.[1];
  }
  return listed;
}

concurrentRealTest("skopeo lists 12,001 tags of a registry that knows no pages", async () => {
  await using storage = await tempDir("storage");
  const repository = storage.file("docker/registry/v2/repositories/app");
  for (let at = 0; at <= 12_000; at += 1) {
    await mkdir(`${repository}/_manifests/tags/t${at}/current`, { recursive: true });
  }
  await using registry = await startDockerRegistry({ storage: storage.path });
  await using cache = await startEntrepot({
    config: { upstreams: { "reg.test": localUpstream(registry.url) } },
  });
  const source = `docker://${cache.address}/reg.test/app`;
  const output = await mustRun(["skopeo", "list-tags", "--tls-verify=false", source]);
  // `skopeo list-tags` prints an object with these tags.
  const { Tags: tags } = JSON.parse(output) as { Tags: string[] };
  expect(new Set(tags).size).toBe(12_001);
});

test.concurrent(
  "tags in the order of pushing, with cursors that mean nothing, are all listed and sorted",
  async () => {
    await using upstream = await startScriptedUpstream();
    const config = { upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: "1h" } } };
    await using cache = await startEntrepot({ config });
    const pushed = Array.from({ length: 15_000 }, (_, at) => `sha-${(at * 7919) % 15_000}`);
    upstream.respond(({ query }) => {
      const from = Number(query.get("cursor") ?? 0);
      const end = from + 1000;
      const link = `</v2/app/tags/list?cursor=${end}>; rel="next"`;
      return page(pushed.slice(from, end), end < pushed.length ? link : undefined);
    });
    const listed = await listAll(cache, "/v2/app/tags/list?ns=reg.test&n=4000");
    expect(listed).toEqual([...pushed].sort());
    expect(upstream.requests()).toHaveLength(15);
    // More than the largest page.
    const clamped = await cache.get("/v2/app/tags/list?ns=reg.test&n=99999999999");
    expect(clamped.headers.get("link")).toContain("n=10000&last=");
    expect(await listAll(cache, "/v2/app/tags/list?ns=reg.test&n=20000")).toEqual(listed);
  },
);

test.concurrent(
  "all tags are listed of a registry that sends 5 MiB of them in one response",
  async () => {
    await using upstream = await startScriptedUpstream();
    await using cache = await startEntrepot({
      config: { upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: "1h" } } },
    });
    const long = "x".repeat(40);
    const tags = Array.from({ length: 120_000 }, (_, at) => `${long}${(at * 7919) % 120_000}`);
    const sent = page(tags);
    upstream.respond(() => sent);
    const listed = await listAll(cache, "/v2/app/tags/list?ns=reg.test");
    expect(listed).toHaveLength(120_000);
    expect(listed).toEqual([...tags].sort());
  },
);

test.concurrent.each([
  ["sends its first page again and again", `</v2/app/tags/list?last=b>; rel="next"`, ["b", "a"]],
  ["ignores the cursor of a sorted list", `</v2/app/tags/list?last=b>; rel="next"`, ["a", "b"]],
])("a registry that %s gets an error, not a part of the list", async (_, link, tags) => {
  await using upstream = await startScriptedUpstream();
  await using cache = await startEntrepot({
    config: { upstreams: { "reg.test": localUpstream(upstream.url) } },
  });
  upstream.respond(() => page(tags, link));
  expect((await cache.get("/v2/app/tags/list?ns=reg.test")).status).toBe(502);
});

test.concurrent(
  "an endless paginated tag list is fetched up to a limited number of pages",
  async () => {
    await using upstream = await startScriptedUpstream();
    await using cache = await startEntrepot({
      config: { upstreams: { "reg.test": localUpstream(upstream.url) } },
    });
    let pages = 0;
    upstream.respond(() => {
      pages += 1;
      const tag = `t${String(pages).padStart(6, "0")}`;
      return {
        status: 200,
        body: JSON.stringify({ name: "app", tags: [tag] }),
        headers: {
          "Content-Type": "application/json",
          Link: `</v2/app/tags/list?last=${tag}>; rel="next"`,
        },
      };
    });
    const response = await cache.get("/v2/app/tags/list?ns=reg.test");
    expect(response.status).toBe(200);
    // The distribution-spec defines the format of this response.
    const { tags } = (await response.json()) as { tags: string[] };
    expect(tags[0]).toBe("t000001");
    expect(pages).toBeLessThanOrEqual(200);
    // The response links to the rest of the list.
    expect(response.headers.get("link")).toContain(`last=${tags.at(-1)}`);
  },
);
