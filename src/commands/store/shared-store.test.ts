import { afterAll, beforeAll, beforeEach, expect, spyOn, test } from "bun:test";
import { CommanderError } from "commander";
import { type TempDir, tempDir } from "../../../test/harness/temp-dir.ts";
import { openUnreportedStorage } from "../../../test/harness/faults/unreported-storage.ts";
import { MemoryObjectLedger } from "../../cluster/objects/memory-object-ledger.ts";
import { type SharedRetentionEvents } from "../../cluster/retention/retention-events.ts";
import { SharedAdmin } from "../../cluster/retention/shared-admin.ts";
import { SharedEvictor } from "../../cluster/retention/shared-evictor.ts";
import { MemorySharedStore } from "../../cluster/shared-store/memory-shared-store.ts";
import { type Digest, digestOf } from "../../oci/digest.ts";
import { parseRepositoryName, parseUpstreamName } from "../../oci/names.ts";
import { AdminApi } from "../../server/admin/admin-api.ts";
import { Failures } from "../../server/api/failures.ts";
import { createLog } from "../../telemetry/log.ts";
import { Jobs } from "../../server/api/jobs/job-table.ts";
import { AdminAccess } from "../../server/access/admin-access.ts";
import { listenForAdmin } from "../../server/admin/admin-listener.ts";
import { fsckCommand } from "./fsck.ts";
import { FIXED } from "../serve/live-configuration.ts";
import { gcCommand } from "./gc.ts";
import { lsCommand } from "./ls.ts";

const HOUR = 3_600_000;

/** A store whose bytes rot. */
class RottingStore extends MemorySharedStore {
  readonly rotten = new Map<Digest, Uint8Array>();

  override async read(...[digest, ...rest]: Parameters<MemorySharedStore["read"]>) {
    const found = await super.read(digest, ...rest);
    const rotten = this.rotten.get(digest);
    return found && rotten ? { ...found, body: new Blob([rotten.slice()]).stream() } : found;
  }
}

let dir: TempDir;
const closing = new AsyncDisposableStack();
let later = 0;
let objects: MemoryObjectLedger;
let store: RottingStore;
let shared: SharedAdmin | undefined;
let admin: string;

beforeAll(async () => {
  dir = closing.use(await tempDir("shared-store"));
  const storage = closing.use(await openUnreportedStorage(dir.file("data")));
  const [upstream, repository] = [parseUpstreamName("ghcr.io"), parseRepositoryName("org/app")];
  if (!upstream || !repository) throw new Error("a name is not valid");
  await storage.metadata.links.add({ upstream, repository }, [{ digest: blobOf(0).digest }]);
  const failures = new Failures(createLog({ format: "json", level: "silent" }));
  const api = new AdminApi({
    storage,
    failures,
    adopt: () => Promise.reject(new Error("not here")),
    ...FIXED,
    pulled: { settled: async () => {}, storing: 0 },
    version: "1",
    jobs: closing.use(new Jobs(failures)),
    status: () => Promise.reject(new Error("not here")),
    shared: () => shared,
  });
  const server = listenForAdmin({
    host: "127.0.0.1",
    access: new AdminAccess(undefined),
    address: { host: "127.0.0.1", port: 0 },
    metrics: async () => "",
    stopping: new AbortController().signal,
    problem: () => undefined,
    api,
  });
  closing.defer(() => server.stop(true));
  admin = `127.0.0.1:${server.port}`;
  links = storage.metadata.links;
});
afterAll(() => closing.disposeAsync());

let links: ConstructorParameters<typeof SharedAdmin>[0]["links"];

function blobOf(number: number) {
  const content = new TextEncoder().encode(String(number).padStart(100));
  return { digest: digestOf(content), size: 100, bytes: new Blob([content]) };
}

const NO_EVENTS: SharedRetentionEvents = {
  evicted() {},
  fullOfPins() {},
  deletionRefused() {},
  listed() {},
  failed() {},
};

/** Four objects, the first of which was used last; the store may have so many bytes. */
beforeEach(async () => {
  later = 0;
  objects = new MemoryObjectLedger(() => later);
  store = new RottingStore();
  for (let number = 0; number < 4; number += 1) {
    const blob = blobOf(number);
    await store.write(blob);
    await objects.stored([{ ...blob, storedAgo: (number + 1) * HOUR }]);
  }
  open(250);
});

function open(maxSize: number | undefined): void {
  const leadership = { fence: objects.lead(), leader: "replica-b" };
  const evictor = new SharedEvictor({ objects, store, maxSize, leadership, events: NO_EVENTS });
  shared = new SharedAdmin({ store, upkeep: { objects, evictor, leadership }, maxSize, links });
}

interface Printed {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

/** Runs a command in this process, for there are many. */
async function entrepot(name: keyof typeof COMMANDS, ...args: readonly string[]): Promise<Printed> {
  const printed = { stdout: "", stderr: "" };
  const spies = (["stdout", "stderr"] as const).map((stream) =>
    spyOn(process[stream], "write").mockImplementation((text, ...rest: unknown[]) => {
      printed[stream] += String(text);
      const done = rest.at(-1);
      if (typeof done === "function") done();
      return true;
    }),
  );
  const command = COMMANDS[name]().exitOverride();
  try {
    const flags = ["--shared", "--admin", admin, "--data", dir.file("data")];
    await command.parseAsync([...args, ...flags], { from: "user" });
    return { ...printed, code: Number(process.exitCode ?? 0) };
  } catch (error) {
    if (error instanceof CommanderError) return { ...printed, code: error.exitCode };
    throw error;
  } finally {
    process.exitCode = 0;
    for (const spy of spies) spy.mockRestore();
  }
}

const COMMANDS = { ls: lsCommand, gc: gcCommand, fsck: fsckCommand };

const [first, second] = [blobOf(0).digest, blobOf(1).digest];

test("ls --shared lists objects with their state, in the order that is asked for", async () => {
  await objects.keep([second]);
  const { stdout, code } = await entrepot("ls", "--sort", "used");
  expect(code).toBe(0);
  const [titles, ...lines] = stdout.trimEnd().split("\n");
  expect(titles).toMatch(/^DIGEST +SIZE  STORED +LAST USED  STATE +PINNED  REPOSITORIES$/);
  expect(lines.map((line) => line.split(/ {2,}/))).toEqual([
    [first, "100 B", "1 h ago", "1 h ago", "here", "-", "ghcr.io/org/app"],
    [second, "100 B", "2 h ago", "2 h ago", "here", "yes", "-"],
    [blobOf(2).digest, "100 B", "3 h ago", "3 h ago", "here", "-", "-"],
    [blobOf(3).digest, "100 B", "4 h ago", "4 h ago", "here", "-", "-"],
  ]);
  const json = await entrepot("ls", "--json");
  const digests = [0, 1, 2, 3].map((number) => blobOf(number).digest).toSorted();
  expect(JSON.parse(json.stdout)).toMatchObject({
    objects: digests.map((digest) => ({ digest, size: 100, state: "here" })),
  });
  const refused = await entrepot("ls", "docker.io/*");
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("no pattern")]);
});

test("an empty store is listed as such", async () => {
  objects.clear();
  expect((await entrepot("ls")).stdout).toBe("The shared store is empty.\n");
  expect(JSON.parse((await entrepot("ls", "--json")).stdout)).toEqual({ objects: [] });
});

test("gc --shared marks what exceeds the limit", async () => {
  expect((await entrepot("gc", "--dry-run")).stdout).toBe("Would evict 2 objects, 200 B.\n");
  expect((await objects.totals()).going.objects).toBe(0);
  expect((await entrepot("gc")).stdout).toBe(
    "Marked 2 objects, 200 B: replica-b deletes what is not used within 15 minutes.\n",
  );
  expect((await objects.totals()).going.objects).toBe(2);
  expect((await entrepot("gc")).stdout).toBe(
    "Nothing to evict: the shared store holds 200 B of 250 B.\n",
  );
  open(undefined);
  const refused = await entrepot("gc");
  expect([refused.code, refused.stderr]).toEqual([
    2,
    "entrepot: the shared store has no limit: set cluster.store.maxSize\n",
  ]);
});

test("fsck --shared finds rotten objects, and what the ledger has wrong, and repairs both", async () => {
  store.rotten.set(first, new Uint8Array(100));
  await store.remove([second]);
  await store.write(blobOf(9));
  const found = await entrepot("fsck");
  expect(found.code).toBe(1);
  expect(found.stdout).toBe(
    `Verified 4 objects of the shared store, 400 B.
corrupt: ${first}
1 object is corrupt, and not served: replicas verify what they read. Run again with --repair to remove it.
Ledger: 1 object that it did not know, 1 entry without an object: repaired by the daily list, or by --repair.
`,
  );
  expect(await store.size(first)).toBe(100);
  expect((await entrepot("fsck", "--repair")).stdout).toContain("1 object was removed.");
  expect(await store.size(first)).toBeUndefined();
  const known = (await objects.page(9)).map(({ digest }) => digest);
  expect(known).toEqual([2, 3, 9].map((number) => blobOf(number).digest).toSorted());
  const { code, stdout } = await entrepot("fsck");
  expect([code, stdout]).toEqual([
    0,
    "Verified 3 objects of the shared store, 300 B.\nAll objects match their digests.\n",
  ]);
});

test("without a ledger the store can be verified, and not listed", async () => {
  shared = new SharedAdmin({ store, maxSize: undefined, links });
  expect((await entrepot("fsck")).stdout).toContain("Verified 4 objects");
  const refused = await entrepot("ls");
  expect([refused.code, refused.stderr]).toEqual([
    2,
    expect.stringContaining("set cluster.database"),
  ]);
});

test("a cache that shares no store says so", async () => {
  shared = undefined;
  const refused = await entrepot("fsck");
  expect([refused.code, refused.stderr]).toEqual([
    1,
    "entrepot: this cache shares no store: set cluster.store\n",
  ]);
});
