import { afterAll, beforeAll, expect, test } from "bun:test";
import { type RawResponse, rawRequest } from "./harness/access/raw-request.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import { randomContent } from "./harness/images/content.ts";
import { textImage } from "./harness/images/images.ts";
import { freePort } from "./harness/free-port.ts";
import {
  basicOf,
  type PrivateRegistry,
  startPrivateRegistry,
} from "./harness/registries/private-registry.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { until } from "./harness/waiting.ts";

/** Ways by which other registries and caches have shown what they should not. */

const secret = textImage({ text: "what only ann may see" });
const own = textImage({ text: "what bob may see" });
const [layer] = secret.blobs.slice(1);
const large = randomContent(24 * 1024 * 1024, 7);

let hub: PrivateRegistry;
let other: PrivateRegistry;
/** Another host, at which nobody may see credentials. */
let stranger: ScriptedUpstream;
let cache: Entrepot;

beforeAll(async () => {
  [hub, other, stranger] = await Promise.all([
    startPrivateRegistry(),
    startPrivateRegistry(),
    startScriptedUpstream({ host: "127.0.0.2" }),
  ]);
  hub.upstream.add("library/secret", secret, "1");
  hub.upstream.addBlob("library/secret", large);
  hub.upstream.add("bob/app", own, "1");
  hub.upstream.add("never/stored", secret, "1");
  other.upstream.add("library/secret", secret, "1");
  hub.grant("ann", "library/secret", "never/stored");
  hub.grant("bob", "bob/app", "mallory/app");
  other.grant("ann");
  // As the registries that do not look whether a manifest's blobs are there.
  hub.upstream.add("mallory/app", { ...secret, blobs: [] }, "1");
  stranger.add("library/secret", secret, "1");
  const hubUpstream = { ...localUpstream(hub.upstream.url), access: "upstream", prefetch: "off" };
  cache = await startEntrepot({
    config: {
      storage: { scrub: 0 },
      workers: 2,
      upstreams: {
        "docker.io": { ...hubUpstream, port: freePort(), bypass: ["never/**"] },
        "other.test": { ...localUpstream(other.upstream.url), access: "upstream" },
        "mirrored.test": {
          ...localUpstream(hub.upstream.url),
          access: "upstream",
          mirrors: [localUpstream(stranger.url)],
        },
      },
    },
  });
  for (const path of [
    "manifests/1",
    `manifests/${secret.manifest.digest}`,
    `blobs/${layer?.digest}`,
  ]) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    expect((await ask(`/v2/library/secret/${path}?ns=docker.io`, "ann")).status).toBe(200);
  }
});

afterAll(async () => {
  await cache[Symbol.asyncDispose]();
  await Promise.all([hub, other, stranger].map((one) => one[Symbol.asyncDispose]()));
});

let asked = 0;

/** Each from another address, so that none is slowed down for the others. */
function ask(
  path: string,
  user?: string,
  {
    method = "GET",
    headers = {},
    at = cache.address,
  }: {
    readonly method?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly at?: string;
  } = {},
): Promise<RawResponse> {
  asked += 1;
  const authorization = user === undefined ? {} : { authorization: basicOf(user) };
  const from = `127.7.${Math.floor(asked / 250)}.${1 + (asked % 250)}`;
  return rawRequest(at, path, { method, headers: { ...headers, ...authorization }, from });
}

function expectNothing(name: string, { status, headers, body }: RawResponse): void {
  expect([name, status]).toEqual([name, expect.any(Number)]);
  expect([name, status >= 400, JSON.stringify(headers)]).toEqual([name, true, expect.any(String)]);
  expect([
    name,
    Object.keys(headers).filter((it) => /digest|etag|cache-|range|oci-/.test(it)),
  ]).toEqual([name, []]);
  expect(body.includes("ann may see")).toBe(false);
}

test("no other name of a repository or a registry leads around a refusal", async () => {
  const { digest } = secret.manifest;
  const prefixes = [
    "/v2/library/secret",
    "/v2/secret",
    "/v2/docker.io/library/secret",
    "/v2/docker.io/secret",
    "/v2/index.docker.io/library/secret",
    "/v2/registry-1.docker.io/secret",
    "/v2/%6cibrary/secret",
    "/v2/library/%73ecret",
    "/v2/library%2Fsecret",
    "/v2/./library/secret",
    "/v2/bob/app/../../library/secret",
    "/v2/bob/app/%2e%2e/%2e%2e/library/secret",
    "/v2//library/secret",
    "/v2/Library/Secret",
    "/v2/library/secret/",
  ];
  const queries = [
    "",
    "?ns=docker.io",
    "?ns=index.docker.io",
    "?ns=registry-1.docker.io",
    "?ns=DOCKER.IO",
    "?ns=docker.io&ns=docker.io",
  ];
  const ends = ["manifests/1", `manifests/${digest}`, `blobs/${layer?.digest}`];
  const port = new URL(cache.portUrl("docker.io")).host;
  for (const user of [undefined, "bob"]) {
    for (const prefix of prefixes) {
      for (const [at, query] of queries.entries()) {
        const path = `${prefix}/${ends[at % ends.length]}${query}`;
        // oxlint-disable-next-line no-await-in-loop -- few at a time
        const [main, own_] = await Promise.all([ask(path, user), ask(path, user, { at: port })]);
        expectNothing(`${user} ${path}`, main);
        expectNothing(`${user} ${path} at the port`, own_);
      }
    }
  }
  // And ann gets it by all names that lead there.
  for (const prefix of [
    "/v2/secret",
    "/v2/docker.io/secret",
    "/v2/index.docker.io/library/secret",
  ]) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    expect((await ask(`${prefix}/manifests/1`, "ann")).status).toBe(200);
  }
}, 60_000);

test("a digest is no key: neither in another repository, nor through a manifest that names it", async () => {
  expect((await ask("/v2/mallory/app/manifests/1?ns=docker.io", "bob")).status).toBe(200);
  for (const { digest } of [...secret.blobs, secret.manifest]) {
    for (const repository of ["bob/app", "mallory/app", "library/secret"]) {
      for (const method of ["GET", "HEAD"]) {
        for (const kind of ["blobs", "manifests"]) {
          if (repository === "mallory/app" && digest === secret.manifest.digest) continue;
          const path = `/v2/${repository}/${kind}/${digest}?ns=docker.io`;
          for (const headers of [{}, { range: "bytes=0-3" }, { "if-none-match": `"${digest}"` }]) {
            // oxlint-disable-next-line no-await-in-loop -- one after the other
            expectNothing(path, await ask(path, "bob", { method, headers }));
          }
        }
      }
    }
  }
  // What docker.io showed to ann proves nothing at another registry.
  expectNothing(
    "other",
    await ask(`/v2/library/secret/blobs/${layer?.digest}?ns=other.test`, "ann"),
  );
}, 60_000);

test("a download for one client is followed by nobody who may not see it, at its beginning or far ahead", async () => {
  // It stops in its middle, until the others have asked.
  hub.fails(({ headers, reference }) => {
    const isOfAnn = headers.get("authorization") === basicOf("ann");
    return isOfAnn && reference === large.digest ? faults.stallAfter(1024 * 1024) : undefined;
  });
  const path = `/v2/library/secret/blobs/${large.digest}?ns=docker.io`;
  const following = ask(path, "ann");
  await until(() => hub.upstream.requests({ kind: "blob", reference: large.digest }).length > 0, {
    what: "the download to begin",
  });
  const ranges = [undefined, "bytes=0-9", "bytes=20000000-20000009", "bytes=-10", "bytes=0-1,5-9"];
  for (const range of ranges) {
    for (const [repository, user] of [
      ["library/secret", "bob"],
      ["library/secret", undefined],
      ["bob/app", "bob"],
    ] as const) {
      const at = path.replace("library/secret", repository);
      const headers = range === undefined ? {} : { range };
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expectNothing(`${at} ${range}`, await ask(at, user, { headers }));
    }
  }
  hub.fails();
  hub.upstream.release();
  expect((await following).body.byteLength).toBe(large.size);
});

test("a repository that is never stored asks the registry about each client", async () => {
  const path = `/v2/never/stored/blobs/${layer?.digest}?ns=docker.io`;
  expect((await ask(path, "ann")).status).toBe(200);
  for (const user of ["bob", undefined]) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    expectNothing(path, await ask(path, user));
  }
});

test("credentials go to the registry that they are for, and not where it sends the cache", async () => {
  const headersAtStranger = () =>
    stranger.requests().map(({ headers }) => headers.get("authorization"));
  hub.upstream.add("moved/app", secret, "1");
  hub.grant("ann", "moved/app");
  const target = `${stranger.url}/v2/library/secret`;
  hub.fails(({ headers, repository, kind, reference }) => {
    if (repository !== "moved/app" || !headers.has("authorization")) return undefined;
    const folder = kind === "blob" ? "blobs" : "manifests";
    return faults.redirect(`${target}/${folder}/${reference}`);
  });
  await ask("/v2/moved/app/manifests/1?ns=docker.io", "ann");
  await ask(`/v2/moved/app/blobs/${layer?.digest}?ns=docker.io`, "ann");
  expect(headersAtStranger().length).toBeGreaterThan(0);
  // A realm on another host gets nothing either.
  const before = stranger.requests().length;
  const realm = `Bearer realm="${stranger.url}/token",service="hub"`;
  hub.fails(({ repository }) =>
    repository === "realm/app" ? faults.unauthorized(realm) : undefined,
  );
  expectNothing("realm", await ask("/v2/realm/app/manifests/1?ns=docker.io", "ann"));
  expect(stranger.requests().length).toBe(before);
  hub.fails();
  // Nor does a mirror, and what it would give to anybody is nobody's verdict.
  expectNothing("mirror", await ask("/v2/library/secret/manifests/1?ns=mirrored.test", "bob"));
  expect((await ask("/v2/library/secret/manifests/1?ns=mirrored.test", "ann")).status).toBe(200);
  expect(headersAtStranger().filter((it) => it !== null)).toEqual([]);
  // The other registry has heard of nobody but those who asked for something there.
  expect(other.takeAsked().every(({ user }) => user === "-" || user === "ann")).toBe(true);
});

test("the pages of the catalog have only names that their reader may know", async () => {
  const namesOf = async (user?: string): Promise<string[]> => {
    const names: string[] = [];
    let path: string | undefined = "/v2/_catalog?ns=docker.io&n=1";
    while (path !== undefined) {
      // oxlint-disable-next-line no-await-in-loop -- one page after the other
      const { body, headers }: RawResponse = await ask(path, user);
      // It is what this API answers.
      names.push(...(JSON.parse(body.toString()) as { repositories: string[] }).repositories);
      path = /<([^>]+)>/.exec(headers["link"] ?? "")?.[1];
    }
    return names;
  };
  expect(await namesOf()).toEqual([]);
  expect(await namesOf("bob")).toEqual(["mallory/app"]);
  expect(await namesOf("ann")).toContain("library/secret");
});
