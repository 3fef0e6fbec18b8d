import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import { type Image, textImage } from "./harness/images/images.ts";
import {
  basicOf,
  type PrivateRegistry,
  startPrivateRegistry,
} from "./harness/registries/private-registry.ts";
import type { UpstreamRequest } from "./harness/registries/upstream-request.ts";
import { Gate, until } from "./harness/waiting.ts";

/** What becomes of one client's request must not become of another's. */

let registry: PrivateRegistry;
let cache: Entrepot;
let repositories = 0;
let repository: string;

beforeAll(async () => {
  registry = await startPrivateRegistry({ hides: true });
  const upstream = localUpstream(registry.upstream.url);
  cache = await startEntrepot({
    config: {
      storage: { scrub: 0 },
      upstreams: { "reg.test": { ...upstream, access: "upstream", tagTtl: "1s", prefetch: "off" } },
    },
  });
});

beforeEach(() => {
  repositories += 1;
  repository = `team/app${repositories}`;
  registry.fails();
  registry.grant("ann", repository);
  registry.grant("bob", repository);
});

afterAll(async () => {
  await cache[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
});

function add(text: string, tag: string): Image {
  const image = textImage({ text: `${text} of ${repository}` });
  registry.upstream.add(repository, image, tag);
  return image;
}

async function pull(path: string, user?: string, init: RequestInit = {}) {
  const headers = user === undefined ? {} : { authorization: basicOf(user) };
  const response = await cache.get(`/v2/${repository}/${path}?ns=reg.test`, { headers, ...init });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

const isOf = (user: string, { headers }: UpstreamRequest): boolean =>
  headers.get("authorization") === basicOf(user);

/** Both have been let in, and then the registry hides the repository from ann. */
async function revokeAnn(): Promise<void> {
  add("first", "first");
  for (const user of ["ann", "bob"]) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    expect((await pull("manifests/first", user)).status).toBe(200);
  }
  registry.revoke("ann", repository);
}

const kinds = ["manifests/new", "digest", "blob", "tags/list"] as const;

function pathOf(kind: (typeof kinds)[number], image: Image): string {
  if (kind === "digest") return `manifests/${image.manifest.digest}`;
  return kind === "blob" ? `blobs/${image.blobs[1]?.digest}` : kind;
}

test.each(kinds)("what is hidden from one client is not missing for another: %s", async (kind) => {
  await revokeAnn();
  const path = pathOf(kind, add("new", "new"));
  expect((await pull(path, "ann")).status).toBe(404);
  expect((await pull(path, "bob")).status).toBe(200);
});

test.each(kinds)(
  "a client that is refused in the middle fails nobody beside it: %s",
  async (kind) => {
    await revokeAnn();
    const path = pathOf(kind, add("new", "new"));
    const [arrived, goOn] = [new Gate(), new Gate()];
    registry.fails(async (request) => {
      if (!isOf("ann", request)) return undefined;
      arrived.open();
      await goOn.opened;
      return faults.errorResponse(403, "DENIED");
    });
    const refused = pull(path, "ann");
    await arrived.opened;
    const granted = pull(path, "bob");
    registry.takeAsked();
    await Promise.race([granted, Bun.sleep(100)]);
    goOn.open();
    expect((await granted).status).toBe(200);
    // What the other one's answer has proved meanwhile, its own verdict still opens.
    expect((await refused).status).toBeOneOf([200, 401, 403]);
  },
);

test.each(kinds)(
  "the rate limit of one account keeps nobody else from pulling: %s",
  async (kind) => {
    // An account of its own, which stays limited.
    const limitedUser = `cat${repositories}`;
    registry.grant(limitedUser, repository);
    add("first", "first");
    for (const user of [limitedUser, "bob"]) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expect((await pull("manifests/first", user)).status).toBe(200);
    }
    const path = pathOf(kind, add("new", "new"));
    const [arrived, goOn] = [new Gate(), new Gate()];
    registry.fails(async (request) => {
      if (!isOf(limitedUser, request)) return undefined;
      arrived.open();
      await goOn.opened;
      return faults.tooManyRequests("60");
    });
    const limited = pull(path, limitedUser);
    await arrived.opened;
    const granted = pull(path, "bob");
    await Promise.race([granted, Bun.sleep(100)]);
    goOn.open();
    expect((await granted).status).toBe(200);
    expect((await limited).status).toBeOneOf([200, 503]);
    expect((await pull("manifests/first", "bob")).status).toBe(200);
  },
);

test("a tag that is hidden from one client stays for the others, also in an outage", async () => {
  await revokeAnn();
  const seen = async () => {
    const { status } = await pull("manifests/first", "ann");
    return status === 404;
  };
  await until(seen, { what: "the tag to be asked for again" });
  registry.fails(() => faults.errorResponse(503));
  expect((await pull("manifests/first", "bob")).status).toBe(200);
});

test("what has just become private is for those whom its registry lets see it, and no others", async () => {
  registry.publish(repository);
  const image = add("first", "first");
  expect((await pull("manifests/first")).status).toBe(200);
  registry.publish(repository, false);
  registry.fails(({ headers }) =>
    headers.has("authorization") ? undefined : faults.unauthorized('Basic realm="private"'),
  );
  const layer = `blobs/${image.blobs[1]?.digest}`;
  expect((await pull(layer, "bob")).status).toBe(200);
  for (const path of [layer, "manifests/first", `manifests/${image.manifest.digest}`]) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    expect([path, (await pull(path)).status]).toEqual([path, 401]);
  }
});

test("no cache between the client and this one is told to keep what is private", async () => {
  const image = add("first", "first");
  const layer = `blobs/${image.blobs[1]?.digest}`;
  for (const method of ["GET", "HEAD", "GET"]) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    const { status, headers } = await pull(layer, "ann", {
      method,
      headers: { authorization: basicOf("ann") },
    });
    expect([status, headers.get("cache-control")]).toEqual([
      200,
      "private, max-age=31536000, immutable",
    ]);
  }
  registry.publish(`${repository}-public`);
  registry.upstream.add(`${repository}-public`, image, "1");
  const open = await cache.get(`/v2/${repository}-public/${layer}?ns=reg.test`);
  expect(open.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
  await open.bytes();
});
