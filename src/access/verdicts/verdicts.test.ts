import { afterEach, beforeEach, expect, test } from "bun:test";
import * as faults from "../../../test/harness/faults/faults.ts";
import { textImage } from "../../../test/harness/images/images.ts";
import {
  type PrivateRegistry,
  startPrivateRegistry,
} from "../../../test/harness/registries/private-registry.ts";
import { Fault } from "../../oci/fault.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { ClientCredentials } from "../../upstream/auth/client-keyring.ts";
import type { Registry } from "../../upstream/registry.ts";
import {
  digest,
  registry as registryAt,
  repository,
  tag,
} from "../../upstream/upstreamtest/test-servers.ts";
import { ProcessKey } from "../process-key.ts";
import type { AskedPlace } from "./asked-place.ts";
import type { AskedResource } from "./registry-question.ts";
import { Verdicts } from "./verdicts.ts";

const MINUTE = 60_000;
const image = textImage({ text: "asked for" });
const latest: AskedResource = { kind: "manifest", reference: tag("1") };
const access = { entries: [], ttl: 5 * MINUTE, staleFor: 60 * MINUTE, usesAuthForPublic: false };

let registry: PrivateRegistry;
let client: Registry;
let now: number;
let shown: RepositoryRef[];
let verdicts: Verdicts;

beforeEach(async () => {
  registry = await startPrivateRegistry();
  registry.upstream.add("team/app", image, "1");
  registry.grant("ann", "team/app");
  registry.grant("bob");
  client = registryAt(Number(new URL(registry.upstream.url).port));
  now = 1_790_000_000_000;
  shown = [];
  const onShown = async (repo: RepositoryRef): Promise<void> => void shown.push(repo);
  verdicts = new Verdicts({ key: new ProcessKey(), onShown, now: () => now });
});

afterEach(() => registry[Symbol.asyncDispose]());

function credentialsOf(user: string): ClientCredentials {
  return { username: user, password: `${user}-password`, account: user };
}

function place(name = "team/app"): AskedPlace {
  const repo = { upstream: client.name, repository: repository(name) };
  return { upstream: { settings: client.settings, registry: client }, repo, access };
}

function find(user: string, resource = latest, name?: string) {
  return verdicts.find(place(name), resource, credentialsOf(user));
}

/** How many times the registry was asked since the last call. */
function questions(): number {
  return registry.takeAsked().length;
}

test("a verdict is the registry's answer, and holds for accessTtl and not longer", async () => {
  expect(await find("ann")).toEqual({ kind: "granted", until: now + 5 * MINUTE });
  expect(await find("bob")).toMatchObject({ kind: "refused" });
  expect(shown).toEqual([place().repo]);
  questions();
  now += 5 * MINUTE - 1;
  expect(await find("ann")).toEqual({ kind: "granted", until: now + 1 });
  expect(questions()).toBe(0);
  registry.revoke("ann", "team/app");
  now += 1;
  expect(await find("ann")).toMatchObject({ kind: "refused" });
});

test("a refusal is believed for half a minute", async () => {
  expect(await find("bob")).toMatchObject({ kind: "refused" });
  registry.grant("bob", "team/app");
  questions();
  now += 29_999;
  expect(await find("bob")).toMatchObject({ kind: "refused" });
  expect(questions()).toBe(0);
  now += 1;
  expect((await find("bob")).kind).toBe("granted");
});

test("the same question is asked once at a time, and each resource that is absent by itself", async () => {
  const all = await Promise.all(Array.from({ length: 20 }, () => find("ann")));
  expect(all.every(({ kind }) => kind === "granted")).toBe(true);
  const gets = registry.takeAsked().filter(({ user }) => user === "ann");
  expect(gets.length).toBe(1);
  verdicts.clear();
  const none: AskedResource = { kind: "manifest", reference: tag("none") };
  const both = await Promise.all([find("ann", none), find("ann"), find("ann", none)]);
  expect(both.map(({ kind }) => kind)).toEqual(["absent", "granted", "absent"]);
  // What is absent grants nothing, and what is granted says of nothing that it is there.
  expect((await find("ann", none)).kind).toBe("granted");
});

test("every kind of resource is asked for as itself, and a list grants nothing but lists", async () => {
  const blob: AskedResource = { kind: "blob", digest: digest(image.blobs[1]?.digest ?? "") };
  const referrers: AskedResource = { kind: "referrers", digest: digest(image.manifest.digest) };
  for (const resource of [blob, referrers, latest]) {
    verdicts.clear();
    expect((await find("ann", resource)).kind).toBe("granted");
    expect((await find("bob", resource)).kind).toBe("refused");
  }
  verdicts.clear();
  questions();
  expect((await find("ann", { kind: "tags" })).kind).toBe("granted");
  expect(questions()).toBeGreaterThan(0);
  expect((await find("ann")).kind).toBe("granted");
  expect(questions()).toBeGreaterThan(0);
  expect((await find("ann", { kind: "tags" })).kind).toBe("granted");
  expect(questions()).toBe(0);
});

test("while the registry fails, what it granted holds for accessStaleFor and not longer", async () => {
  await find("ann");
  registry.fails(() => faults.errorResponse(503));
  now += 59 * MINUTE;
  const verdict = await find("ann");
  expect(verdict).toEqual({ kind: "granted", until: now + 5000 });
  questions();
  expect((await find("ann")).kind).toBe("granted");
  now += MINUTE;
  expect(await find("ann").catch((error: unknown) => error)).toBeInstanceOf(Fault);
  expect(await find("bob").catch((error: unknown) => error)).toBeInstanceOf(Fault);
  registry.fails();
});

test("a refusal ends what was granted before, whatever becomes of the registry then", async () => {
  await find("ann");
  now += 5 * MINUTE;
  registry.revoke("ann", "team/app");
  expect((await find("ann")).kind).toBe("refused");
  registry.fails(() => faults.errorResponse(503));
  now += MINUTE;
  expect(await find("ann").catch((error: unknown) => error)).toBeInstanceOf(Fault);
});

test("a verdict is of one user, one password and one repository", async () => {
  registry.upstream.add("team/other", image, "1");
  await find("ann");
  expect((await find("ann", latest, "team/other")).kind).toBe("refused");
  const guess = { ...credentialsOf("ann"), password: "guess" };
  expect((await verdicts.find(place(), latest, guess)).kind).toBe("refused");
  const joined = { ...credentialsOf("ann"), username: "an", password: "nann-password" };
  expect((await verdicts.find(place(), latest, joined)).kind).toBe("refused");
});

test("a clock that is set back or far ahead extends nothing", async () => {
  await find("ann");
  registry.revoke("ann", "team/app");
  now -= 1;
  expect((await find("ann")).kind).toBe("refused");
});

test("an answer that comes after the rules have changed is not kept", async () => {
  const arrived = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  registry.fails(async () => {
    arrived.resolve();
    await goOn.promise;
    return undefined;
  });
  const asking = find("ann");
  await arrived.promise;
  verdicts.clear();
  goOn.resolve();
  await asking;
  expect(verdicts.isGranted(place(), credentialsOf("ann"))).toBe(false);
});
