import {
  CPU,
  LEADER_STATEMENTS,
  LEDGER_CONNECTIONS,
  LEDGER_CORES,
  LEDGER_CPU,
  LEDGER_INTERVALS,
  MOST_CONNECTIONS,
  MOST_MEMBERS,
  PRICES,
  STORE_LIMITS,
} from "./costs.ts";
import type { Fleet } from "./fleet.ts";
import type { Traffic } from "./traffic.ts";

const [DAY, MONTH, GB] = [86_400, 30 * 86_400, 1e9];
/** A busy hour has so many times the mean of a day. */
export const PEAK = 5;

/** What one fleet does to each of its parts; per second, on average. */
export interface Load {
  readonly imagesPerSecond: number;
  readonly sentBytes: number;
  /** Of all bytes that were sent, those that came from a replica's own disk. */
  readonly hitRatio: number;
  readonly upstreamDownloads: number;
  readonly upstreamBytes: number;
  readonly tagHeads: number;
  readonly storeGets: number;
  readonly storePuts: number;
  readonly storeGetBytes: number;
  readonly storePutBytes: number;
  readonly betweenReplicasBytes: number;
  readonly ledgerStatements: number;
  readonly ledgerRows: number;
  readonly ledgerCores: number;
  /** What of these no pull causes: members and heartbeats. */
  readonly idleLedgerCores: number;
  readonly ledgerConnections: number;
}

export function loadOf(fleet: Fleet, traffic: Traffic): Load {
  const seconds = (fleet.days - fleet.warmUpDays) * DAY;
  const { broughtIn, broughtInBytes } = traffic;
  const per = (count: number): number => count / seconds;
  const brought = broughtInBytes.store + broughtInBytes.replica + broughtInBytes.upstream;
  return {
    imagesPerSecond: per(traffic.images),
    sentBytes: per(traffic.sentBytes),
    hitRatio: 1 - brought / traffic.sentBytes,
    upstreamDownloads: per(broughtIn.upstream),
    upstreamBytes: per(broughtInBytes.upstream),
    tagHeads: per(traffic.tagHeads),
    storeGets: per(broughtIn.store + traffic.storeMisses + traffic.storeHeads),
    storePuts: per(traffic.storePuts),
    storeGetBytes: per(broughtInBytes.store),
    storePutBytes: per(traffic.storePutBytes),
    betweenReplicasBytes: per(broughtInBytes.replica),
    ...ledgerLoad(fleet, traffic, per),
  };
}

type LedgerLoad = Pick<Load, Extract<keyof Load, `${string}edger${string}`>>;

const NO_LEDGER: LedgerLoad = {
  ledgerStatements: 0,
  ledgerRows: 0,
  ledgerCores: 0,
  idleLedgerCores: 0,
  ledgerConnections: 0,
};

function ledgerLoad(
  { replicas, hasStore }: Fleet,
  traffic: Traffic,
  per: (count: number) => number,
): LedgerLoad {
  if (replicas === 1) return NO_LEDGER;
  const each = (interval: number): number => replicas / interval;
  const [beats, looks] = [each(LEDGER_INTERVALS.heartbeat), each(LEDGER_INTERVALS.look)];
  const ofStore = hasStore
    ? each(LEDGER_INTERVALS.leader) + each(LEDGER_INTERVALS.totals) + LEADER_STATEMENTS
    : 0;
  const batches = hasStore ? looks : 0;
  const uses = per(traffic.usesTold);
  const { tagQuestions, placeQuestions, tagsTold, tagsMoved, storePuts } = traffic;
  const asked = per(tagQuestions + placeQuestions);
  const idleLedgerCores =
    beats * (LEDGER_CPU.heartbeat + replicas * LEDGER_CPU.heartbeatPerMember) +
    (looks + ofStore) * LEDGER_CPU.look;
  const ledgerCores =
    idleLedgerCores +
    per(tagQuestions) * LEDGER_CPU.tagQuestion +
    per(placeQuestions) * LEDGER_CPU.placeQuestion +
    per(tagsTold) * LEDGER_CPU.tagTold +
    per(tagsMoved) * replicas * LEDGER_CPU.notifyPerListener +
    per(storePuts) * LEDGER_CPU.objectPut +
    uses * LEDGER_CPU.useTold;
  return {
    ledgerStatements: beats + looks + ofStore + batches + asked + per(tagsTold + storePuts),
    ledgerRows: beats * replicas + uses,
    ledgerCores,
    idleLedgerCores,
    ledgerConnections:
      replicas * (LEDGER_CONNECTIONS.always + (hasStore ? LEDGER_CONNECTIONS.withStore : 0)),
  };
}

/** How much of a part is used in a busy hour: 1 is all of it. */
export interface Use {
  readonly part: string;
  readonly used: number;
  /** Of that, what does not grow with the number of pulls. */
  readonly fixed: number;
}

/** What may be used of a part before it is called full. */
const FULL = 0.7;

/** The parts of a fleet, the fullest first. */
export function usesOf(fleet: Fleet, load: Load): Use[] {
  const { replicas, machine } = fleet;
  const peak = PEAK / replicas;
  const received = load.upstreamBytes + load.storeGetBytes + load.betweenReplicasBytes;
  const sent = load.sentBytes + load.betweenReplicasBytes + load.storePutBytes;
  const idle = load.idleLedgerCores;
  const requests = load.imagesPerSecond * fleet.images.layers;
  const cpu =
    ((load.sentBytes + load.storePutBytes) / GB) * CPU.perSentGigabyte +
    (load.betweenReplicasBytes / GB) * CPU.perFollowedGigabyte +
    (received / GB) * CPU.perReceivedGigabyte +
    requests * CPU.perRequest;
  return [
    grows("network of a replica", (peak * sent) / machine.networkBytes),
    grows("processors of a replica", (peak * cpu) / machine.cores),
    {
      part: "processors of the ledger",
      used: (idle + PEAK * (load.ledgerCores - idle)) / LEDGER_CORES,
      fixed: idle / LEDGER_CORES,
    },
    stays("connections of the ledger", load.ledgerConnections / MOST_CONNECTIONS),
    stays("members", replicas / MOST_MEMBERS),
    grows("GETs of one prefix", (PEAK * load.storeGets) / STORE_LIMITS.gets),
    grows("PUTs of one prefix", (PEAK * load.storePuts) / STORE_LIMITS.puts),
  ].sort((one, other) => other.used - one.used);
}

function grows(part: string, used: number): Use {
  return { part, used, fixed: 0 };
}

function stays(part: string, used: number): Use {
  return { part, used, fixed: used };
}

/** How many images per second, on average of a day, until the first part that grows with them is full. */
export function mostImagesPerSecond(load: Load, uses: readonly Use[]): number {
  const growing = uses.filter(({ used, fixed }) => used > fixed);
  const factors = growing.map(({ used, fixed }) => (FULL - fixed) / (used - fixed));
  return load.imagesPerSecond * Math.max(0, Math.min(...factors));
}

/** Dollars per month. */
export interface Bill {
  readonly replicas: number;
  readonly ledger: number;
  /** If what was new in a month is kept. */
  readonly storage: number;
  readonly requests: number;
  /** If two of three bytes cross a zone on their way to nodes. */
  readonly betweenZones: number;
  /** What the same pulls would cost through a NAT gateway, without a cache. */
  readonly withoutCache: number;
}

export function billOf(fleet: Fleet, load: Load): Bill {
  const { replicas, hasStore } = fleet;
  const perMonth = (rate: number): number => rate * MONTH;
  const crossing = (2 / 3) * (load.sentBytes + load.betweenReplicasBytes);
  return {
    replicas: replicas * PRICES.replicaMonth,
    ledger: replicas > 1 ? PRICES.ledgerMonth : 0,
    storage: hasStore ? (perMonth(load.upstreamBytes) / GB) * PRICES.storeGigabyteMonth : 0,
    requests:
      perMonth(load.storePuts) * PRICES.storePut + perMonth(load.storeGets) * PRICES.storeGet,
    betweenZones: (perMonth(crossing) / GB) * 2 * PRICES.betweenZonesGigabyte,
    withoutCache: (perMonth(load.sentBytes) / GB) * PRICES.natGigabyte,
  };
}
