import { Cache } from "../../cache/cache.ts";
import { adopt } from "../../cache/retention/adoption.ts";
import { Housekeeping } from "../../cache/retention/housekeeping.ts";
import { openKeptStore } from "../../cache/retention/storage.ts";
import type { Upstream } from "../../cache/upstream.ts";
import type { Address, Settings } from "../../config/settings.ts";
import type { Digest } from "../../oci/digest.ts";
import { AdminApi } from "../../server/admin/admin-api.ts";
import { listenForAdmin } from "../../server/admin/admin-listener.ts";
import { KnownAnswers } from "../../server/pull/response-cache.ts";
import { Namespaces } from "../../server/pull/namespaces.ts";
import { PullApi } from "../../server/pull/pull-api.ts";
import { Recent } from "../../server/pull/recent-pulls.ts";
import { missingContent } from "../../store/disk/disk-blob-store.ts";
import { SmallBlobs } from "../../store/memory/small-blob-cache.ts";
import type { Log } from "../../telemetry/log.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import { openRoads, type RoadsOptions } from "../../upstream/registry-transport.ts";
import { NodePorts } from "./node-ports.ts";
import { openPort, Ports } from "./open-port.ts";
import { Reporter } from "./request-reporter.ts";
import { StatusReport } from "./status-report.ts";
import { StoreReporter } from "./store-reporter.ts";
import { version } from "../../version.ts";
import { measureUpstreams } from "./upstream-gauges.ts";
import { Upstreams } from "./upstreams.ts";

/** How long downloads and answers under way may take after the signal to end, in milliseconds. */
const GRACE_MS = 15_000;

/** What listeners of both kinds have. */
interface Stoppable {
  stop(cut?: boolean): Promise<void>;
}

/** Where a running cache listens, as `host:port`. */
export interface Listening {
  readonly listen: string;
  readonly admin: string;
  /** By upstream, for those that have a port of their own. */
  readonly ports: Readonly<Record<string, string>>;
}

export interface RunningCache {
  readonly listening: Listening;
  /** Takes up what may change while it runs: the upstreams, the certificate. Downloads under way go on. */
  reconfigure(settings: Settings): void;
  /**
   * Takes no new requests, lets what is under way finish, keeps what does not for the next start,
   * and closes everything. Takes at most about 17 s.
   */
  close(): Promise<void>;
}

/**
 * Puts everything together and listens.
 *
 * @throws DataDirectoryError, IndexError or ListenError, each with what to do about it
 */
export async function runCache(
  settings: Settings,
  log: Log,
  reread?: RoadsOptions["reread"],
): Promise<RunningCache> {
  const closing = new AsyncDisposableStack();
  try {
    return await open(settings, log, closing, reread);
  } catch (error) {
    await closing.disposeAsync();
    throw error;
  }
}

async function open(
  settings: Settings,
  log: Log,
  closing: AsyncDisposableStack,
  reread: RoadsOptions["reread"],
): Promise<RunningCache> {
  const ports = new Ports(process.env);
  const metrics = new Metrics();
  const recent = new Recent();
  const told = new StoreReporter(log, metrics);
  const kept = await openKeptStore(settings, told);
  closing.defer(() => kept[Symbol.asyncDispose]());
  const { index, facts, usage, space } = kept;
  const setAside = async (digest: Digest): Promise<void> => {
    try {
      await kept.steward.setAside(digest);
      told.corrupt(digest);
    } catch (error) {
      told.failed("setting a corrupt content aside", error);
    }
  };
  const store = new SmallBlobs(kept.store, { setAside });
  told.measure(kept);
  const reporter = new Reporter({ log, metrics, recent, isFull: () => space.fullness.isFull });
  const roads = openRoads({
    observe: (event) => reporter.upstream(event),
    ...(reread ? { reread } : {}),
  });
  const upstreams = new Upstreams(settings.upstreams, roads);
  const cache = new Cache({
    store,
    index,
    facts,
    growth: kept.bounds,
    observer: reporter,
    used: (digest) => usage.touch(digest, Date.now()),
  });
  const inUse = (digest: Digest): boolean => cache.fills.inUse(digest);
  kept.usedBy(inUse);
  told.onRemoved = (digest) => {
    store.drop(digest);
    cache.forget(digest);
  };
  const housekeeping = new Housekeeping(kept, inUse, settings.storage.scrub, told);
  reporter.onForgotten = (fault) => {
    // Where everything is a hit, nothing else finds out that the disk is full.
    space.fullness.failed(fault);
    housekeeping.lacksFact();
  };
  closing.defer(() => housekeeping[Symbol.asyncDispose]());
  metrics.gauge("entrepot_fills_active", "Downloads under way.", () => cache.fills.count);
  measureUpstreams(metrics, upstreams);
  const report = new StatusReport({ kept, fills: cache.fills, upstreams, metrics });

  const namespaces = new Namespaces(upstreams.all);
  const record = reporter.request.bind(reporter);
  const known = new KnownAnswers(store.removals, () => index.revision);
  const api = new PullApi({ cache, namespaces, known, record });
  const fillAgain = async (cause: Error): Promise<void> => {
    const missing = await missingContent(cause);
    if (missing) await kept.steward.setAside(missing);
  };
  const unreadable = (cause: Error): void => {
    log.warn({ err: cause }, "a stored content cannot be read");
    fillAgain(cause).catch((why: unknown) => told.failed("forgetting what is gone", why));
  };
  const nodes = { api, namespaces, recent, unreadable };
  const nodePorts = new NodePorts({ nodes, tls: settings.tls, ports, log, metrics });
  let isStopping = false;
  const servers: Stoppable[] = [];
  const started = ({ host }: Address, server: Stoppable, port: number): string => {
    servers.push(server);
    closing.defer(() => server.stop(true));
    return `${host.includes(":") ? `[${host}]` : host}:${port}`;
  };
  const { listen, admin } = settings;
  const startForNodes = (what: string, address: Address, upstream?: Upstream): string => {
    const { server, port } = nodePorts.open(what, address, upstream);
    return started(address, server, port);
  };
  const startForAdmin = (): string => {
    const { server, port } = openPort("admin", admin, () =>
      listenForAdmin({
        address: admin,
        metrics: () => metrics.render(),
        isReady: () => !isStopping,
        api: new AdminApi({
          steward: kept.steward,
          dataDirectory: kept.path,
          version,
          status: () => report.read(listening),
          adopt: (options) => adopt(kept, upstreams.all, options),
        }),
        ...(settings.adminToken === undefined ? {} : { token: settings.adminToken }),
      }),
    );
    return started(admin, server, port);
  };
  const listening: Listening = {
    listen: startForNodes("listen", listen),
    admin: startForAdmin(),
    ports: Object.fromEntries(
      [...upstreams.all.values()].flatMap((upstream) => {
        const { name, port } = upstream.settings;
        if (port === undefined) return [];
        const own = { host: listen.host, port };
        return [[name, startForNodes(`the port of ${name}`, own, upstream)]];
      }),
    ),
  };
  ports.expectNoneLeft();

  return {
    listening,
    reconfigure(changed) {
      upstreams.configure(changed.upstreams);
      kept.configure(changed.upstreams);
      cache.reconfigured();
      known.forget();
      if (changed.tls) nodePorts.renew(changed.tls);
    },
    async close() {
      isStopping = true;
      const answered = Promise.all(servers.map((server) => server.stop()));
      await Promise.all([cache.fills.drain(GRACE_MS), atMost(GRACE_MS, answered)]);
      await closing.disposeAsync();
    },
  };
}

async function atMost(milliseconds: number, work: Promise<unknown>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, milliseconds);
  await Promise.race([work, promise]);
  clearTimeout(timer);
}
