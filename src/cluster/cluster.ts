import { randomBytes } from "node:crypto";
import type { NearSources } from "../cache/fetch/near-sources.ts";
import type { ReplicaLookup } from "../cache/sharing/replica-lookup.ts";
import type { Upstream } from "../cache/upstream.ts";
import type { ClusterSettings } from "../config/cluster-settings.ts";
import { currentDatabase } from "../config/database-settings.ts";
import type { Address } from "../config/parsing/address.ts";
import type { UpstreamName } from "../oci/names.ts";
import type { ByteBudget } from "../process/byte-budget.ts";
import type { Log } from "../telemetry/log.ts";
import { version } from "../version.ts";
import { ClusterCounters } from "./cluster-counters.ts";
import type { ClusterLedger, OpenLedger } from "./cluster-ledger.ts";
import { ClusterProblems } from "./cluster-problems.ts";
import { ClusterStore, type ClusterStoreOptions, type StoreParts } from "./cluster-store.ts";
import { type ClusterReporters, type ClusterStatus, readClusterStatus } from "./cluster-status.ts";
import type { FactsFollowed, ReplicaFacts } from "./facts/replica-facts.ts";
import { ConfiguredMembers, memberAt } from "./members/configured-members.ts";
import { distinctMembers } from "./members/distinct-members.ts";
import type { MemberHealth } from "./members/member-health.ts";
import { memberStatuses, type OwnGreeting } from "./members/member-reports.ts";
import { openHealth } from "./members/open-health.ts";
import { type Member, type Members, membersOf } from "./members/members.ts";
import { ownUrl } from "./members/own-address.ts";
import { Twins } from "./members/twins.ts";
import { nearOf } from "./near.ts";
import { Following } from "./replicas/following.ts";
import { ReplicaClient } from "./replicas/replica-client.ts";
import { ReplicaHandler, type ReplicaHandlerOptions } from "./replicas/replica-handler.ts";
import { ReplicaServer } from "./replicas/replica-server.ts";
import { ReplicaSources } from "./replicas/replica-sources.ts";
import { TakenOver } from "./replicas/taken-over.ts";
import { Signatures } from "./replicas/signature.ts";

export interface ClusterOptions {
  readonly settings: ClusterSettings;
  readonly log: Log;
  /** For what is received of other replicas and not written yet. */
  readonly budget: ByteBudget;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** Set where a database is configured. */
  readonly openLedger?: OpenLedger | undefined;
  /** Set where a shared store is configured. */
  readonly storeParts?: StoreParts | undefined;
  /** What blobs are received with. */
  readonly transport?: Omit<ClusterStoreOptions["transport"], "budget">;
}

/** What this replica has for others. */
export interface Served {
  readonly lookup: ReplicaLookup;
  readonly upstreams: ReadonlyMap<UpstreamName, Upstream>;
  readonly share: ReplicaHandlerOptions["share"];
  /** Starts a server at an address. */
  readonly open: (
    address: Address,
    serve: (at: Address) => Bun.Server<undefined>,
  ) => { readonly server: Bun.Server<undefined>; readonly port: number };
}

/** This cache as one of several replicas. Whatever fails of it, the cache serves alone. */
export class Cluster implements AsyncDisposable {
  /** What is asked for missing content before its upstream. */
  readonly near: NearSources;
  readonly #replicas: ReplicaSources;
  readonly counters = new ClusterCounters();
  readonly problems: ClusterProblems;
  readonly #closing = new AsyncDisposableStack();
  readonly #signatures: Signatures;
  /** Of this start of this replica. */
  readonly #instance = randomBytes(12).toString("base64url");
  readonly #health: MemberHealth;
  readonly #client: ReplicaClient;
  readonly #following = new Following();
  readonly #twins: Twins;
  readonly #ledger: ClusterLedger | undefined;
  #settings: ClusterSettings;
  #members: ConfiguredMembers;
  readonly #store: ClusterStore | undefined;
  #handler: ReplicaHandler | undefined;
  /** Listens for other replicas, once it does. */
  #server: ReplicaServer | undefined;

  constructor(options: ClusterOptions) {
    const { settings, log, budget } = options;
    this.#settings = settings;
    this.problems = new ClusterProblems(log);
    this.#twins = this.#closing.use(new Twins(this.problems));
    this.#signatures = new Signatures(settings.secret, options.now);
    this.#client = this.#closing.use(
      new ReplicaClient({
        signatures: this.#signatures,
        instance: this.#instance,
        self: () => this.#believed.self,
        tls: settings.tls,
        budget,
      }),
    );
    this.#health = this.#closing.use(
      openHealth({
        ping: (member, signal) => this.#client.ping(member, signal),
        problems: this.problems,
        twins: this.#twins,
        self: () => this.#believed.self,
        configuredSelf: () => this.#members.self,
        instance: this.#instance,
        own: () => this.#greeting,
        hasGone: (member) => this.#ledger?.hasGone(member) ?? false,
      }),
    );
    this.#members = this.#membersAt(settings.listen.port);
    const { counters } = this;
    this.#ledger = this.#openLedger(options);
    this.#replicas = new ReplicaSources(() => this.#believed, {
      client: this.#client,
      health: this.#health,
      following: this.#following,
      onReceived: (bytes) => counters.received("replica", bytes),
      onFailed: (kind) => counters.failed("replica", kind),
    });
    this.#store = this.#openStore(options);
    this.near = this.#near(this.#replicas);
  }

  /** The store that replicas share; absent without one. */
  get store(): ClusterStore | undefined {
    return this.#store;
  }

  /** What replicas tell each other; absent without a database. */
  get facts(): ReplicaFacts | undefined {
    return this.#ledger?.facts;
  }

  /** How many replicas are alive, this one included. */
  get living(): number {
    return this.#believed.living().length;
  }

  /** How many are known, those that do not answer included. */
  get size(): number {
    return this.#known.length;
  }

  /** Begins to do what other replicas tell. */
  async follow(followed: FactsFollowed): Promise<void> {
    await this.#ledger?.follow(followed);
  }

  /** Begins to answer other replicas. Returns the address, as `host:port`. */
  listen({ lookup, upstreams, share, open }: Served): Address {
    const settings = this.#settings;
    const handler = new ReplicaHandler({
      lookup,
      upstreams,
      share,
      signatures: this.#signatures,
      following: this.#following,
      near: (asker, silent) => this.#near(this.#replicas.forReplica(asker, silent)),
      takenOver: new TakenOver(this.#replicas.forReplica("", [])),
      self: () => this.#believed.self,
      instance: this.#instance,
      onHeard: (id) => this.#health.heard(id),
      members: () => this.#greeting.members,
      onTwin: (id) => this.#twins.met(id, "it asks this replica as if it was itself"),
      onAnswered: (status) => this.counters.answered(status),
    });
    const server = new ReplicaServer(handler, settings, this.problems);
    const { port } = open(settings.listen, (at) => server.open(at));
    this.#server = this.#closing.use(server);
    this.#handler = handler;
    this.#look(port);
    return { host: settings.listen.host, port };
  }

  /** Applies what can change while it runs: the members, the secret, the certificates, the database's password. */
  configure(settings: ClusterSettings): void {
    this.#settings = settings;
    this.#signatures.configure(settings.secret);
    this.#client.configure(settings.tls);
    this.#server?.renew(settings.tls);
    this.#look(this.#server?.port ?? settings.listen.port);
    this.#health.review();
  }

  /** Looks for the members, and for who answers at the address of this one. */
  #look(port: number): void {
    this.#members = this.#membersAt(port);
    this.#health.keepOnly(this.#known);
    for (const member of [...this.#members.all, this.#believed.self]) this.#health.watch(member);
  }

  /** With a ledger, who is asked is not a matter of lists. */
  get #greeting(): OwnGreeting {
    const members = this.#ledger ? undefined : this.#members.list;
    return { version, ...(members && { members }) };
  }

  /** For `status`. */
  status(): ClusterStatus {
    const ledger = this.#ledger;
    const store = this.#store;
    const parts: ClusterReporters = {
      problems: this.problems,
      members: () =>
        memberStatuses(this.#believed.self, this.#known, { health: this.#health, version }),
      ...(ledger && { ledger: () => ledger.status() }),
      ...(store ? { store: () => store.status(), leader: () => store.leader() } : {}),
    };
    return readClusterStatus(parts);
  }

  /** The cache stops: other replicas are sent elsewhere. What is being sent to them goes on. */
  stop(): void {
    this.#handler?.stop();
    void this.#ledger?.leave();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#closing.disposeAsync();
  }

  /** Who is believed to be alive. */
  get #believed(): Members {
    return this.#ledger?.members ?? this.#members;
  }

  /** All that are known, whether they are alive or not, this one first. */
  get #known(): readonly Member[] {
    const { self } = this.#believed;
    // What the ledger says of one is its own name for itself.
    const others = [...(this.#ledger?.members.others ?? []), ...this.#members.others];
    const named = [...new Map([self, ...others].map((member) => [member.id, member])).values()];
    return distinctMembers(named, this.#health);
  }

  #openStore({
    settings: { store },
    storeParts,
    log,
    budget,
    transport,
  }: ClusterOptions): ClusterStore | undefined {
    if (!store || !storeParts) return undefined;
    const { problems, counters } = this;
    return this.#closing.use(
      new ClusterStore({
        ...storeParts,
        store,
        database: currentDatabase(() => this.#settings.database),
        assertLedgerUp: () => this.#ledger?.assertUp(),
        members: () => this.#believed,
        problems,
        counters,
        log,
        transport: { budget, ...transport },
      }),
    );
  }

  #openLedger({ settings, openLedger, log }: ClusterOptions): ClusterLedger | undefined {
    const database = currentDatabase(() => this.#settings.database);
    if (!database || !openLedger) return undefined;
    return this.#closing.use(
      openLedger({
        settings: database,
        secret: settings.secret,
        self: memberAt(ownUrl(settings, settings.listen.port)),
        configured: membersOf(() => this.#members),
        health: this.#health,
        problems: this.problems,
        isConfigured: ({ id }) => this.#members.all.some((member) => member.id === id),
        counters: this.counters,
        replicas: () => this.#known.length,
        log,
        version,
      }),
    );
  }

  /** Of a manifest in the store, the ledger may know where it may be seen. */
  #near(replicas: NearSources): NearSources {
    const store = this.#store?.open.near;
    return nearOf(replicas, store, store && this.#ledger?.facts.manifests.vouchedFor(store));
  }

  #membersAt(port: number): ConfiguredMembers {
    const settings = this.#settings;
    return new ConfiguredMembers({
      advertise: ownUrl(settings, port),
      urls: settings.members,
      health: this.#health,
      instance: this.#instance,
    });
  }
}
