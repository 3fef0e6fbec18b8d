import { afterEach, beforeEach, expect, test } from "bun:test";
import * as faults from "../../../test/harness/faults/faults.ts";
import { textImage } from "../../../test/harness/images/images.ts";
import {
  type PrivateRegistry,
  startPrivateRegistry,
} from "../../../test/harness/registries/private-registry.ts";
import type { MetadataStore } from "../../store/metadata-store.ts";
import { openMetadata } from "../../store/sql/open-metadata.ts";
import type { Registry } from "../../upstream/registry.ts";
import {
  registry as registryAt,
  repository,
  tag,
} from "../../upstream/upstreamtest/test-servers.ts";
import type { AskedPlace } from "./asked-place.ts";
import { PublicRepositories, type Shown } from "./public-repositories.ts";
import type { AskedResource } from "./registry-question.ts";

const MINUTE = 60_000;
const image = textImage({ text: "for anybody" });
const access = { entries: [], ttl: 1, staleFor: 1, usesAuthForPublic: false };

let registry: PrivateRegistry;
let client: Registry;
let metadata: MetadataStore;
let now: number;
let repositories: PublicRepositories;

function open(): PublicRepositories {
  const onShown = async (): Promise<void> => {};
  return new PublicRepositories({ visibility: metadata.visibility, onShown, now: () => now });
}

beforeEach(async () => {
  registry = await startPrivateRegistry();
  for (const name of ["open/app", "team/app"]) registry.upstream.add(name, image, "1");
  registry.publish("open/app");
  client = registryAt(Number(new URL(registry.upstream.url).port));
  metadata = await openMetadata(":memory:");
  now = 1_790_000_000_000;
  repositories = open();
});

afterEach(async () => {
  await metadata.close();
  await registry[Symbol.asyncDispose]();
});

function place(name: string): AskedPlace {
  const repo = { upstream: client.name, repository: repository(name) };
  return { upstream: { settings: client.settings, registry: client }, repo, access };
}

function find(name: string, reference = "1"): Promise<Shown> {
  const resource: AskedResource = { kind: "manifest", reference: tag(reference) };
  return repositories.find(place(name), resource);
}

test("a registry is asked once in ten minutes what it shows to anybody", async () => {
  expect(await find("open/app")).toEqual({
    kind: "public",
    until: now + 10 * MINUTE,
    isStale: false,
  });
  expect(await find("team/app")).toEqual({ kind: "private" });
  expect(repositories.known(place("open/app").repo)?.kind).toBe("public");
  registry.takeAsked();
  now += 10 * MINUTE - 1;
  expect((await find("open/app", "none")).kind).toBe("public");
  expect(registry.takeAsked()).toEqual([]);
  registry.publish("open/app", false);
  registry.publish("team/app");
  now += 1;
  expect(repositories.known(place("open/app").repo)).toBeUndefined();
  expect((await find("open/app")).kind).toBe("private");
  expect((await find("team/app")).kind).toBe("public");
});

test("what is absent says nothing of the repository", async () => {
  const found = await Promise.all([find("open/app", "none"), find("open/app")]);
  expect(found.map(({ kind }) => kind)).toEqual(["absent", "public"]);
});

test("in an outage, what the registry said last holds, also after a restart", async () => {
  await Promise.all([find("open/app"), find("team/app")]);
  repositories = open();
  registry.fails(() => faults.errorResponse(503));
  now += 60 * MINUTE;
  expect(await find("open/app")).toEqual({
    kind: "public",
    until: now + 5000,
    isStale: true,
  });
  // Nothing is written of what was never public.
  expect((await find("team/app")).kind).toBe("unknown");
  registry.takeAsked();
  now += 4999;
  expect((await find("open/app")).kind).toBe("public");
  expect((await find("other/app")).kind).toBe("unknown");
  registry.fails();
  now += 1;
  registry.publish("open/app", false);
  expect((await find("open/app")).kind).toBe("private");
});

test("a rate limit is no answer", async () => {
  registry.fails(() => faults.tooManyRequests("1"));
  expect((await find("open/app")).kind).toBe("unknown");
});

test("names are told that were shown to anybody within a day", async () => {
  await Promise.all([find("open/app"), find("team/app")]);
  const names = [repository("open/app"), repository("team/app")];
  expect(await repositories.among(client.name, names)).toEqual([repository("open/app")]);
  now += 1440 * MINUTE + 1;
  expect(await repositories.among(client.name, names)).toEqual([]);
});
