import { expect, test } from "bun:test";
import { TrustRoots } from "../src/cache/signatures/trust-roots.ts";
import { IDENTITY, ruleOf } from "./harness/signatures/rules.ts";
import { SigstoreServices } from "./harness/signatures/sigstore-services.ts";
import { TufRepository } from "./harness/signatures/tuf-repository.ts";
import { type TempDir, tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

const RULE = ruleOf({ keyless: [IDENTITY] });
const HOUR_MS = 3_600_000;

interface World extends AsyncDisposable {
  readonly repository: TufRepository;
  /** Another process with the same data. */
  open(): TrustRoots;
  /** The log that is believed, if any. */
  believed(roots: TrustRoots): Promise<string | undefined>;
  readonly failures: (number | undefined)[];
  now: number;
}

const textOf = (services: SigstoreServices): string => JSON.stringify(services.trustRoot());
const idOf = (services: SigstoreServices): string => services.log.id.toString("hex");

async function world(services: SigstoreServices): Promise<World> {
  const repository = new TufRepository(textOf(services));
  const dir: TempDir = await tempDir("tuf");
  const rootFile = dir.file("root.json");
  await Bun.write(rootFile, repository.root);
  const failures: (number | undefined)[] = [];
  const made: World = {
    repository,
    failures,
    now: Date.now(),
    open: () =>
      new TrustRoots({
        folder: dir.file("sigstore"),
        mirror: { url: repository.url, rootFile },
        onUnfetched: (_, keptSince) => failures.push(keptSince),
        now: () => made.now,
      }),
    believed: async (roots) => {
      const found = await roots.of(RULE);
      return found?.tlogs[0]?.logID.toString("hex");
    },
    [Symbol.asyncDispose]: async () => {
      repository[Symbol.dispose]();
      await dir[Symbol.asyncDispose]();
    },
  };
  return made;
}

test("the public trust root is fetched once a day, and replaced behind what asks for it", async () => {
  await using services = new SigstoreServices();
  await using others = new SigstoreServices();
  await using at = await world(services);
  const roots = at.open();
  expect(await Promise.all([at.believed(roots), at.believed(roots)])).toEqual([
    idOf(services),
    idOf(services),
  ]);
  const asked = at.repository.requests;
  at.now += 23 * HOUR_MS;
  await at.believed(roots);
  expect(at.repository.requests).toBe(asked);

  at.repository.publish(textOf(others));
  at.now += 2 * HOUR_MS;
  expect(await at.believed(roots)).toBe(idOf(services));
  const isReplaced = async (): Promise<boolean> => (await at.believed(roots)) === idOf(others);
  await until(isReplaced, { what: "the new root is used" });
  expect(at.failures).toEqual([]);
});

test("what is kept is used while it cannot be fetched, also after a restart", async () => {
  await using services = new SigstoreServices();
  await using at = await world(services);
  const fetchedAt = at.now;
  await at.believed(at.open());
  at.repository.isDown = true;
  const asked = at.repository.requests;
  expect(await at.believed(at.open())).toBe(idOf(services));
  expect(at.repository.requests).toBe(asked);
  at.now += 90 * 24 * HOUR_MS;
  expect(await at.believed(at.open())).toBe(idOf(services));
  await until(() => at.failures.length > 0, { what: "the failure is told" });
  expect(at.failures).toEqual([fetchedAt]);
});

test("one that was never fetched is asked for again each minute", async () => {
  await using services = new SigstoreServices();
  await using at = await world(services);
  at.repository.isDown = true;
  const roots = at.open();
  expect(await at.believed(roots)).toBeUndefined();
  const asked = at.repository.requests;
  expect(await at.believed(roots)).toBeUndefined();
  expect(at.repository.requests).toBe(asked);
  at.repository.isDown = false;
  at.now += 2 * 60_000;
  expect(await at.believed(roots)).toBe(idOf(services));
});

test("after a clock that was ahead, one that could not be fetched then is asked for again", async () => {
  await using services = new SigstoreServices();
  await using at = await world(services);
  const roots = at.open();
  at.repository.isDown = true;
  at.now += 30 * 24 * HOUR_MS;
  expect(await at.believed(roots)).toBeUndefined();
  at.now -= 30 * 24 * HOUR_MS;
  at.repository.isDown = false;
  expect(await at.believed(roots)).toBe(idOf(services));
});

test.each([
  [
    "a target that is not the one that is signed",
    (repository: TufRepository, evil: string) => repository.replaceTarget(evil),
  ],
  [
    "metadata that have expired",
    (repository: TufRepository, evil: string) => repository.publish(evil, -HOUR_MS),
  ],
])("%s replaces nothing", async (_, tamper) => {
  await using services = new SigstoreServices();
  await using others = new SigstoreServices();
  await using at = await world(services);
  tamper(at.repository, textOf(others));
  expect(await at.believed(at.open())).toBeUndefined();
  expect(at.failures).toEqual([undefined]);
});
