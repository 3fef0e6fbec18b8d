import { Cache } from "../../cache/cache.ts";
import { adopt } from "../../cache/retention/adoption.ts";
import { Housekeeping } from "../../cache/retention/housekeeping.ts";
import { openStorage } from "../../cache/retention/storage.ts";
import type { Upstream } from "../../cache/upstream.ts";
import type { Settings } from "../../config/settings.ts";
import type { Address } from "../../config/parsing/address.ts";
import type { Digest } from "../../oci/digest.ts";
import { AdminApi } from "../../server/admin/admin-api.ts";
import { listenForAdmin } from "../../server/admin/admin-listener.ts";
import { ResponseCache } from "../../server/pull/response-cache.ts";
import { Namespaces } from "../../server/pull/namespaces.ts";
import { PullApi } from "../../server/pull/pull-api.ts";
import { RecentPulls } from "../../server/pull/recent-pulls.ts";
import { missingBlob } from "../../store/disk/disk-blob-store.ts";
import { SmallBlobCache } from "../../store/memory/small-blob-cache.ts";
import type { Log } from "../../telemetry/log.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import {
  openRegistryTransport,
  type RegistryTransportOptions,
} from "../../upstream/registry-transport.ts";
import { NodePorts } from "./node-ports.ts";
import { openPort, Ports } from "./open-port.ts";
import { RequestReporter } from "./request-reporter.ts";
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
 * @throws DataDirectoryError, MetadataError or ListenError, each with what to do about it
 */
export async function runCache(
  settings: Settings,
  log: Log,
  reread?: RegistryTransportOptions["reread"],
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
  reread: RegistryTransportOptions["reread"],
): Promise<RunningCache> {
  const ports = new Ports(process.env);
  const metrics = new Metrics();
  const recent = new RecentPulls();
  const told = new StoreReporter(log, metrics);
  const storage = await openStorage(settings, told);
  closing.defer(() => storage[Symbol.asyncDispose]());
  const { metadata, sidecars, lastAccess, budget } = storage;
  const setAside = async (digest: Digest): Promise<void> => {
    try {
      await storage.admin.quarantine(digest);
      told.corrupt(digest);
    } catch (error) {
      told.failed("setting a corrupt content aside", error);
    }
  };
  const store = new SmallBlobCache(storage.store, { quarantine: setAside });
  told.measure(storage);
  const reporter = new RequestReporter({
    log,
    metrics,
    recent,
    isFull: () => budget.fullState.isFull,
  });
  const transport = openRegistryTransport({
    observe: (event) => reporter.upstream(event),
    ...(reread ? { reread } : {}),
  });
  const upstreams = new Upstreams(settings.upstreams, transport);
  const cache = new Cache({
    store,
    metadata,
    sidecars,
    quotaEvents: storage.quotas,
    observer: reporter,
    recordAccess: (digest) => lastAccess.touch(digest, Date.now()),
  });
  const inUse = (digest: Digest): boolean => cache.fills.inUse(digest);
  storage.setInUseCheck(inUse);
  told.onRemoved = (digest) => {
    store.drop(digest);
    cache.forget(digest);
  };
  const housekeeping = new Housekeeping(storage, inUse, settings.storage.scrub, told);
  reporter.onForgotten = (fault) => {
    // Where everything is a hit, nothing else finds out that the disk is full.
    budget.fullState.recordFailure(fault);
    housekeeping.metadataWriteFailed();
  };
  closing.defer(() => housekeeping[Symbol.asyncDispose]());
  metrics.gauge("entrepot_fills_active", "Downloads under way.", () => cache.fills.count);
  measureUpstreams(metrics, upstreams);
  const report = new StatusReport({ storage, fills: cache.fills, upstreams, metrics });

  const namespaces = new Namespaces(upstreams.all);
  const record = reporter.request.bind(reporter);
  const known = new ResponseCache(store.removals, () => metadata.revision);
  const api = new PullApi({ cache, namespaces, known, record });
  const fillAgain = async (cause: Error): Promise<void> => {
    const missing = await missingBlob(cause);
    if (missing) await storage.admin.quarantine(missing);
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
          admin: storage.admin,
          dataDirectory: storage.path,
          version,
          status: () => report.read(listening),
          adopt: (options) => adopt(storage, upstreams.all, options),
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
      storage.configure(changed.upstreams);
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
