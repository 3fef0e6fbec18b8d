import { ProcessKey } from "../../access/process-key.ts";
import { BrokenResponses } from "../../cache/repair/broken-responses.ts";
import { SecondLooks } from "../../cache/repair/second-looks.ts";
import { Housekeeping } from "../../cache/retention/housekeeping.ts";
import { openStorage } from "../../cache/retention/storage.ts";
import type { Settings } from "../../config/settings.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Fault } from "../../oci/fault.ts";
import { ByteBudget } from "../../process/byte-budget.ts";
import { DescriptorBudget } from "../../process/file-descriptors.ts";
import { memoryLimit } from "../../process/memory-limit.ts";
import { type MemoryPlan, memoryPlan } from "../../process/memory-plan.ts";
import type { Operation } from "../../server/api/operation.ts";
import { ConnectionGate } from "../../server/listen/connection-gate.ts";
import { FileSends } from "../../server/pull/file-sends.ts";
import { Namespaces } from "../../server/pull/namespaces.ts";
import { OfferedImages } from "../../server/pull/offered-images.ts";
import { PullApi } from "../../server/pull/pull-api.ts";
import { RecentPulls } from "../../server/pull/recent-pulls.ts";
import { ResponseCache } from "../../server/pull/response-cache.ts";
import { DiskTimes } from "../../store/disk-times.ts";
import type { Watched } from "../../store/directory/directory-watch.ts";
import { SmallBlobCache } from "../../store/memory/small-blob-cache.ts";
import { LocalProblems } from "../../telemetry/local-problems.ts";
import type { Log } from "../../telemetry/log.ts";
import { type MetricDescription, Metrics } from "../../telemetry/metrics.ts";
import { DownloadRates } from "../../upstream/rates/download-rates.ts";
import { BlobRepair } from "./blob-repair.ts";
import { connectUpstreams, createCache, openReceiving } from "./cache-parts.ts";
import { noticeExhaustedLimit, noticeFewDescriptors, slowDiskText } from "./machine-limits.ts";
import { openCluster } from "./cluster-parts.ts";
import { Emitter } from "./emitter.ts";
import { finish } from "./finish.ts";
import { Insight } from "./operator/insight.ts";
import { LimitsWatch } from "./limits-watch.ts";
import { FIXED, type LiveConfiguration } from "./live-configuration.ts";
import { AdminPort } from "../ports/admin-port.ts";
import { Listeners, type Listening } from "../ports/listeners.ts";
import { MetadataHealth } from "./metadata-health.ts";
import { NodePorts } from "../ports/node-ports.ts";
import { Ports } from "../ports/open-port.ts";
import { openAdmission } from "./open-admission.ts";
import { OperatorApi } from "./operator/operator-api.ts";
import { OperatorNews } from "./operator/operator-news.ts";
import { openTagDecisions } from "./operator/tag-decisions.ts";
import { RequestReporter } from "./request-reporter.ts";
import { StoreReporter } from "./store-reporter.ts";
import { measureLocalProblems } from "./local-problem-gauges.ts";
import { measureUpstreams } from "./upstream-gauges.ts";
import { openTracing } from "./operator/tracing.ts";
import { measureWorkers, ServingThreads } from "./serving-threads.ts";

export interface RunningCache {
  readonly listening: Listening;
  /** What the memory of this process is divided into. */
  readonly memory: MemoryPlan;
  /** Every metric that a running cache exports, for the reference. */
  readonly metrics: readonly MetricDescription[];
  /** Every operation of its admin API, for the reference. */
  readonly operations: readonly Operation[];
  /** Applies the settings that need no restart: upstreams, certificate. Downloads continue. */
  reconfigure(settings: Settings): void;
  /**
   * Graceful shutdown: accepts no new requests, lets those in progress finish, suspends downloads
   * that do not finish for the next start, and closes everything. Takes at most about 17 s.
   */
  close(): Promise<void>;
}

/**
 * Starts a cache: opens its storage and listens.
 *
 * @throws DataDirectoryError, MetadataError or ListenError, each with what to do about it
 */
export async function runCache(
  settings: Settings,
  log: Log,
  live: LiveConfiguration = FIXED,
): Promise<RunningCache> {
  const closing = new AsyncDisposableStack();
  try {
    return await start(settings, log, closing, live);
  } catch (error) {
    await closing.disposeAsync();
    throw error;
  }
}

/** The composition root: builds the object graph from the bottom up. */
async function start(
  settings: Settings,
  log: Log,
  closing: AsyncDisposableStack,
  live: LiveConfiguration,
): Promise<RunningCache> {
  const ports = new Ports(process.env);
  const metrics = new Metrics();
  const localProblems = new LocalProblems(log);
  const tracer = closing.use(openTracing(settings.tracing, { log, metrics }))?.tracer;
  const blobRemoved = new Emitter<Digest>();
  const filesVanished = new Emitter<readonly Watched[]>();
  const recordsLeft = new Emitter<void>();
  const metadataNotWritten = new Emitter<Fault>();
  const news = new OperatorNews(settings, { log, metrics, localProblems });

  // The store.
  const storeReporter = new StoreReporter({
    log,
    metrics,
    localProblems,
    tell: news.events.tell,
    blobRemoved,
    filesVanished,
    recordsLeft,
  });
  const descriptors = closing.use(new DescriptorBudget());
  const plan = memoryPlan(memoryLimit());
  const memory = { ...plan, downloads: Math.min(plan.downloads, descriptors.downloads) };
  const received = new ByteBudget(memory.received);
  const times = new DiskTimes({
    measured: (operation, milliseconds) => metrics.diskOperation(operation, milliseconds / 1000),
    slow: (figures) => localProblems.notice("slow-disk", slowDiskText(figures)),
  });
  const writing = { budget: received, syncBytes: memory.unsynced, times };
  const storage = closing.use(await openStorage(settings, storeReporter, writing));
  const { budget } = storage;
  await closing.use(news).configure(settings);
  storeReporter.measure(storage);
  const threads = ServingThreads.plan(settings.workers, { memory, descriptors, log });
  const repair = new BlobRepair(storage, storeReporter, log);
  const quarantine = (digest: Digest): Promise<void> => repair.quarantine(digest);
  const smallBlobs = { memory: memory.smallBlobs, quarantine, ...threads?.forBlobs };
  const store = new SmallBlobCache(storage.store, smallBlobs);

  // The pull-through cache.
  const recentPulls = new RecentPulls();
  const metadataHealth = new MetadataHealth(log);
  const insight = closing.use(new Insight({ storage, metrics, log }));
  const reporter = new RequestReporter({
    principals: news.principals,
    insight,
    log,
    metrics,
    recentPulls,
    audit: news.audit,
    isFull: () => budget.fullState.isFull,
    metadataNotWritten,
    metadataHealth,
    localProblems,
  });
  const rates = new DownloadRates();
  rates.configure(settings);
  const { thread, transport } = openReceiving(
    { memory, descriptors, budget: received, log },
    closing,
  );
  const parts = { settings, log, storage, metrics, news };
  const cluster = closing.use(await openCluster({ ...parts, transport }));
  const upstreams = connectUpstreams(settings, reporter, live.reread, {
    rates,
    tracer,
    ...transport,
    concurrency: { limits: { blob: { total: memory.downloads, perUpstream: memory.downloads } } },
    ...cluster?.limits,
  });
  const decisions = await openTagDecisions({ ...parts, cluster, upstreams, cache: () => cache });
  const { policies } = decisions;
  const { tagChanges } = news.events;
  const content = { ...cluster?.content, ...policies, isDivided: upstreams.isDivided, tagChanges };
  const watched = { memory, times, quarantine, tracer, ...content };
  const cache = createCache(storage, store, reporter, watched);
  const isInUse = cache.isInUse.bind(cache);
  storage.setInUseCheck(isInUse);
  for (const one of [store.drop.bind(store), cache.forget.bind(cache)]) blobRemoved.on(one);

  // Background maintenance of the store.
  const scrubRate = settings.storage.scrub;
  const housekeeping = closing.use(new Housekeeping(storage, isInUse, scrubRate, storeReporter));
  const secondLooks = closing.use(new SecondLooks(storage, isInUse, storeReporter));
  // If every request is a hit, nothing but these writes notices that the disk is full.
  metadataNotWritten.on((fault) => {
    // A sidecar file that cannot be read or written says nothing of the blobs: their writes do.
    if (fault.detail.kind === "no-space") budget.fullState.recordFailure(fault);
  });
  metadataNotWritten.on(() => housekeeping.metadataWriteFailed());
  recordsLeft.on(() => housekeeping.metadataWriteFailed());

  // What operators can see and do.
  measureWorkers(metrics, () => workers);
  measureUpstreams(metrics, upstreams, cache, rates);
  measureLocalProblems(metrics, localProblems);
  if (descriptors.areFew) await metrics.load();
  closing.use(new LimitsWatch({ localProblems, descriptors, memoryLimit: memory.limit }));
  const collect = async (): Promise<void> => workers?.collect();
  const operators: OperatorApi = closing.use(
    new OperatorApi({
      settings,
      storage,
      cache,
      cluster,
      upstreams,
      log,
      metrics,
      metadataHealth,
      localProblems,
      memory,
      descriptors,
      received: [received, ...(thread ? [thread] : [])],
      rates,
      insight,
      news,
      decisions,
      live,
      listening: () => listening,
      collect,
    }),
  );

  // The pull API, and the ports.
  const key = new ProcessKey();
  const access = openAdmission({ settings, cache, key, log, metrics });
  const namespaces = new Namespaces(upstreams.all);
  const responses = new ResponseCache(store.removals, {
    revisions: [
      () => storage.metadata.revision,
      () => access.clients.revision,
      () => policies.tagPolicy.revision,
    ],
    memory: memory.responses,
  });
  decisions.overrides.onChange(() => threads?.publish());
  // What is in memory only is fetched again, and stored.
  filesVanished.on(() => {
    store.clear();
    cache.forgetAll();
    responses.clear();
    threads?.publish();
  });
  const record = operators.recording(reporter.request.bind(reporter));
  const fileSends = new FileSends();
  closing.defer(() => fileSends.close());
  const broken = new BrokenResponses(secondLooks);
  const answers = { cache, admission: access.admission, namespaces, responses, fileSends, broken };
  const told = { times, record, tracer, redirects: cluster?.redirects };
  const api = new PullApi({ ...answers, ...told });
  const unreadable = (error: Error): void => {
    if (!noticeExhaustedLimit(localProblems, error)) repair.unreadable(error);
  };
  const isScarce = (): boolean => gate.isScarce;
  const offered = new OfferedImages(storage.smallImages, namespaces);
  const workers = threads?.workers({ storage, responses, key, cache, record, unreadable, tracer });
  if (workers) insight.collectFrom(() => workers.collect());
  const collected = workers && { collected: () => workers.collect() };
  const common = { api, namespaces, recentPulls, offered, unreadable, isScarce, ...collected };
  const nodePorts = new NodePorts({ common, tls: settings.tls, ports, log, metrics, workers });
  const gate = closing.use(
    new ConnectionGate({
      ports: nodePorts,
      descriptors,
      onClosed: () => noticeFewDescriptors(localProblems, descriptors),
      ...threads?.forGate,
    }),
  );
  await cluster?.join(ports, cache, access.admission, upstreams.all, decisions.overrides);
  const listeners = closing.use(new Listeners({ ports, nodePorts, workers }));
  const adminAnswers = {
    api: operators.api,
    metrics: () => collect().then(() => metrics.render()),
    problem: () => metadataHealth.problem,
  };
  const adminPort = closing.use(new AdminPort({ settings, answers: adminAnswers, log, metrics }));
  const listening = listeners.open(settings, upstreams.all.values(), adminPort);
  await nodePorts.startWorkers().then(() => decisions.serving(thread));
  return {
    listening,
    memory,
    metrics: metrics.descriptions,
    operations: operators.api.operations,
    reconfigure(changed) {
      rates.configure(changed);
      upstreams.configure(changed.upstreams);
      storage.configure(changed.upstreams);
      operators.configure(changed);
      cluster?.configure(changed);
      cache.reconfigured();
      access.configure(changed);
      responses.clear();
      threads?.publish();
      if (changed.tls) nodePorts.renew(changed.tls);
      adminPort.configure(changed);
      void news.configure(changed);
    },
    async close() {
      cluster?.stop();
      insight.stop();
      await finish(cache, listeners.stop());
      await closing.disposeAsync();
    },
  };
}
