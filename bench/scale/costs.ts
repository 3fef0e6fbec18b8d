/**
 * What things cost, measured: where and how is beside each figure. CPU is in seconds; of the ledger it is
 * that of the server's processes (`bun bench/scale/ledger-costs.ts`, PostgreSQL 15.18).
 */
export const CPU = {
  /** docs/explanation/performance.md: 256 MiB hits, 4 clients. */
  perSentGigabyte: 0.24,
  /** The same page: 10 KiB hits at 49,400/s on two cores, the clients' part included. */
  perRequest: 40e-6,
  /** One client downloads 1 GiB that is not cached, on a busy machine: received, hashed, written and sent. */
  perReceivedGigabyte: 6.7,
  /** The same with four clients: what each further one costs that follows a download. */
  perFollowedGigabyte: 0.9,
} as const;

export const LEDGER_CPU = {
  heartbeat: 75e-6,
  /** For each living member that its answer lists. */
  heartbeatPerMember: 2.8e-6,
  tagQuestion: 44e-6,
  placeQuestion: 44e-6,
  tagTold: 420e-6,
  /** For each connection that listens, of a tag that has moved: all hear of it. */
  notifyPerListener: 25e-6,
  /** Of 1,000 in one statement over 100,000 blobs, with no more than the tables and statements of the ledger. */
  useTold: 4.2e-6,
  objectPut: 82e-6,
  look: 35e-6,
} as const;

/**
 * How often a replica does what does not depend on pulls, in seconds. With a store, each asks who leads, and what the
 * store holds; both cost what a look does.
 */
export const LEDGER_INTERVALS = { heartbeat: 1, look: 30, leader: 2, totals: 30 } as const;
/** Statements per second of the one that leads: a transaction each second. */
export const LEADER_STATEMENTS = 4;

/**
 * Connections of a replica to the ledger, at most: two that ask, two that tell, and one that hears; with a store, two
 * that tell of objects and ask who leads, two for the upkeep, and one about all objects.
 */
export const LEDGER_CONNECTIONS = { always: 5, withStore: 5 } as const;
/** What PostgreSQL takes without a word in its configuration is 100; with some memory, this many. */
export const MOST_CONNECTIONS = 1000;
export const LEDGER_CORES = 4;
/** A cluster has at most so many members. */
export const MOST_MEMBERS = 256;

/** Of one prefix of a bucket at AWS, by its documentation: per second, and it grows when asked for longer. */
export const STORE_LIMITS = { puts: 3500, gets: 5500 } as const;

/**
 * List prices of AWS in us-east-1, in dollars, as published in 2026; the machines are an assumption for
 * one with 4 cores, 10 Gbit/s and 1 TB of NVMe, and for a PostgreSQL with 4 cores and a standby.
 */
export const PRICES = {
  storeGigabyteMonth: 0.023,
  storePut: 0.005 / 1000,
  storeGet: 0.0004 / 1000,
  /** Each direction. */
  betweenZonesGigabyte: 0.01,
  natGigabyte: 0.045,
  replicaMonth: 250,
  ledgerMonth: 500,
} as const;
