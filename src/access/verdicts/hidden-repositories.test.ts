import { expect, test } from "bun:test";
import type { AccessSettings } from "../../config/access/access-settings.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { VisibilityRecord } from "../../store/visibility.ts";
import {
  faultOf,
  registry as registryAt,
  repository,
  serve,
  tag,
} from "../../upstream/upstreamtest/test-servers.ts";
import type { ClientCredentials } from "../../upstream/auth/client-keyring.ts";
import { ProcessKey } from "../process-key.ts";
import { type AskedPlace, placeKey } from "./asked-place.ts";
import { PublicRepositories } from "./public-repositories.ts";
import type { AskedResource } from "./registry-question.ts";
import { Verdicts } from "./verdicts.ts";

/** What a registry answers: `hidden` is 404 for everything, `away` is 503. */
type Decision = "shown" | "refused" | "hidden" | "away";

/** Everything but the tag `missing`, to those to whom it is shown. */
interface DecidingRegistry extends Disposable {
  readonly place: (name: string, access?: Partial<AccessSettings>) => AskedPlace;
  /** Who was asked as, in order; `-` for nobody. */
  readonly askedAs: string[];
  /** By user; `-` for nobody, and absent for all whom it does not know. */
  readonly decisions: Map<string, Decision>;
  /** Called with each request before it is answered. */
  hold: () => Promise<void>;
}

function clientNamed(username: string): ClientCredentials {
  return { username, password: `${username}-password`, account: `account of ${username}` };
}

/** A registry with Basic authentication that decides by user alone. */
function startDecidingRegistry(): DecidingRegistry {
  const askedAs: string[] = [];
  const decisions = new Map<string, Decision>();
  const server = serve(async ({ headers, path }) => {
    const [, encoded] = (headers.get("authorization") ?? "").split(" ");
    const user = encoded === undefined ? "-" : (atob(encoded).split(":")[0] ?? "");
    const decision = decisions.get(user) ?? "refused";
    // A client's first request is challenged.
    if (user !== "-" || decision !== "refused") askedAs.push(user);
    await subject.hold();
    const isMissing = path.includes("/missing");
    if (decision === "away") return new Response(null, { status: 503 });
    if (decision === "hidden" || (decision === "shown" && isMissing)) {
      return new Response("{}", { status: 404 });
    }
    if (decision === "shown") {
      return path.includes("/tags/list")
        ? Response.json({ name: "app", tags: [] })
        : new Response("{}", { headers: { "content-type": "application/json" } });
    }
    if (user !== "-") return new Response("{}", { status: 403 });
    return new Response("{}", {
      status: 401,
      headers: { "www-authenticate": 'Basic realm="test"' },
    });
  });
  const subject: DecidingRegistry = {
    askedAs,
    decisions,
    hold: async () => {},
    place(name, access = {}) {
      const asked = registryAt(server.port);
      const repo: RepositoryRef = { upstream: asked.name, repository: repository(name) };
      return {
        upstream: { settings: asked.settings, registry: asked },
        repo,
        access: {
          entries: [{ mode: "upstream" }],
          ttl: 1000,
          staleFor: 60_000,
          usesAuthForPublic: false,
          ...access,
        },
      };
    },
    [Symbol.dispose]: () => server[Symbol.dispose](),
  };
  return subject;
}

const there: AskedResource = { kind: "manifest", reference: tag("1") };
const missing: AskedResource = { kind: "manifest", reference: tag("missing") };
const MAX = 20;
const ann = clientNamed("ann");

function verdictsAt(registry: DecidingRegistry) {
  const clock = { now: 1_000_000_000 };
  const now = (): number => clock.now;
  const verdicts = new Verdicts({ key: new ProcessKey(), onShown: async () => {}, now, max: MAX });
  const place = registry.place("team/app");
  const find = async (resource = there, who = ann): Promise<string> => {
    // Each place has a registry of its own, so that none is left alone after failures.
    const { upstream } = registry.place("team/app");
    return (await verdicts.find({ ...place, upstream }, resource, who)).kind;
  };
  return { verdicts, clock, find };
}

const TTL_MS = 600_000;

function repositoriesAt(registry: DecidingRegistry) {
  const clock = { now: 1_000_000_000 };
  const written = new Map<string, VisibilityRecord>();
  const visibility = {
    get: async (repo: RepositoryRef) => written.get(placeKey(repo)),
    put: async (repo: RepositoryRef, record: VisibilityRecord) => {
      written.set(placeKey(repo), record);
    },
    publicAmong: async () => [],
  };
  const start = () =>
    new PublicRepositories({ visibility, onShown: async () => {}, now: () => clock.now });
  const find = async (from: PublicRepositories, resource = there, name = "team/app") => {
    const shown = await from.find(registry.place(name), resource);
    return shown.kind === "public" && shown.isStale ? "stale" : shown.kind;
  };
  return { clock, written, start, find };
}

test.each<Decision>(["refused", "hidden"])(
  "what is %s after accessTtl does not come back when the registry is away",
  async (decision) => {
    using registry = startDecidingRegistry();
    const { clock, find } = verdictsAt(registry);
    registry.decisions.set("ann", "shown");
    expect(await find()).toBe("granted");
    clock.now += 1000;
    registry.decisions.set("ann", decision);
    expect(await find()).toBe(decision === "hidden" ? "absent" : "refused");
    registry.decisions.set("ann", "away");
    clock.now += 30_000;
    expect((await faultOf(find())).kind).toBe("upstream-failed");
  },
);

test("that something is missing takes no grant away", async () => {
  using registry = startDecidingRegistry();
  const { clock, find } = verdictsAt(registry);
  registry.decisions.set("ann", "shown");
  expect(await find()).toBe("granted");
  clock.now += 1000;
  expect(await find(missing)).toBe("absent");
  registry.decisions.set("ann", "away");
  expect(await find()).toBe("granted");
});

test("however many wrong credentials are sent, the grants of others stay, and a bounded number is kept", async () => {
  using registry = startDecidingRegistry();
  const { verdicts, find } = verdictsAt(registry);
  registry.decisions.set("ann", "shown");
  expect(await find()).toBe("granted");
  const wrong = Array.from({ length: 3 * MAX }, (_, at) => find(there, clientNamed(`x${at}`)));
  expect(new Set(await Promise.all(wrong))).toEqual(new Set(["refused"]));
  expect(verdicts.size).toBe(MAX + 1);
  registry.askedAs.length = 0;
  expect(await find()).toBe("granted");
  expect(registry.askedAs).toEqual([]);
});

test.each<Decision>(["refused", "hidden"])(
  "what is %s now does not become public again when the registry is away",
  async (decision) => {
    using registry = startDecidingRegistry();
    const { clock, start, find } = repositoriesAt(registry);
    const subject = start();
    registry.decisions.set("-", "shown");
    expect(await find(subject)).toBe("public");
    clock.now += TTL_MS;
    registry.decisions.set("-", decision);
    expect(await find(subject)).toBe(decision === "hidden" ? "absent" : "private");
    registry.decisions.set("-", "away");
    clock.now += TTL_MS;
    expect(await find(subject)).toBe("private");
    expect(await find(start())).toBe("private");
  },
);

test("that something is missing takes nothing from the public", async () => {
  using registry = startDecidingRegistry();
  const { clock, start, find } = repositoriesAt(registry);
  const subject = start();
  registry.decisions.set("-", "shown");
  expect(await find(subject)).toBe("public");
  clock.now += TTL_MS;
  expect(await find(subject, missing)).toBe("absent");
  registry.decisions.set("-", "away");
  expect(await find(subject)).toBe("stale");
});

test("nothing is written of names that were never public", async () => {
  using registry = startDecidingRegistry();
  const { start, find, written } = repositoriesAt(registry);
  expect(await find(start(), there, "made/up")).toBe("private");
  registry.decisions.set("-", "hidden");
  expect(await find(start(), there, "made/up2")).toBe("absent");
  expect([...written]).toEqual([]);
});

test("after a change of the configuration, and after a refusal, the registry is asked anew", async () => {
  using registry = startDecidingRegistry();
  const { start, find } = repositoriesAt(registry);
  const subject = start();
  const { repo } = registry.place("team/app");
  registry.decisions.set("-", "shown");
  for (const change of [async () => subject.clear(), () => subject.doubt(repo)]) {
    // oxlint-disable-next-line no-await-in-loop -- one case after the other
    expect(await find(subject)).toBe("public");
    registry.askedAs.length = 0;
    await change();
    expect(subject.known(repo)).toBeUndefined();
    expect(await find(subject)).toBe("public");
    expect(registry.askedAs).toEqual(["-"]);
  }
  await subject.doubt(repo);
  registry.decisions.set("-", "away");
  expect(await find(subject)).toBe("private");
});
