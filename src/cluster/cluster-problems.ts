import { printable } from "../printable.ts";
import type { Log } from "../telemetry/log.ts";
import { NoticedProblems } from "../telemetry/noticed-problems.ts";

interface Description {
  /** What is wrong, of the subject at its beginning. */
  readonly what: string;
  /** What that means for pulls and for the other replicas. */
  readonly means: string;
  /** What to do about it. */
  readonly advice: string;
  /** It happens, and is over a while after it has happened last; any other is a state, until that ends. */
  readonly happens?: boolean;
}

const ALONE = "what it has is downloaded from the registries again";
const NO_LEDGER =
  "pulls go on; each replica checks tags for itself, and purges and pins reach the others when it is back";
const NOT_SHARED = "pulls go on; what is missing here comes from other replicas and the registries";
const NOT_WRITTEN =
  "what is in it is read; what is downloaded now is written to it later, when that works again";

/** Everything that can be wrong with a cluster, and what it means. A replica serves in all of it. */
const DESCRIPTIONS = {
  "wrong-secret": {
    what: "refuses this replica's signature",
    means: ALONE,
    advice: "give all replicas the same cluster.secretFile, and set their clocks",
  },
  "foreign-member": {
    what: "is no replica of Entrepot",
    means: "it is not asked for anything",
    advice: "correct cluster.members, or cluster.advertise of the replica that has this address",
  },
  "silent-member": {
    what: "does not answer",
    means: "other replicas download what it would have downloaded",
    advice:
      "read its log, and check the network between the two: `entrepot doctor` on both machines",
  },
  "member-certificate": {
    what: "has a certificate that is not accepted",
    means: ALONE,
    advice:
      "give it a valid cluster.tls.certificate for the name in its address, and give all replicas the CA that issued it as cluster.tls.ca",
  },
  "own-certificate": {
    what: "is not valid now",
    means: "other replicas do not ask this one",
    advice: "renew it: the files are read again without a restart",
  },
  "duplicate-id": {
    what: "is used by another replica, too",
    means: "each of the two takes itself for the one that is asked, so blobs are downloaded twice",
    advice: "set another cluster.advertise at one of them, and never copy a data directory",
    happens: true,
  },
  clock: {
    what: "has a clock that differs",
    means: "signatures are refused from five minutes on; nothing else depends on clocks",
    advice: "set the clock: `timedatectl set-ntp true`",
  },
  "members-differ": {
    what: "lists other members than this replica",
    means: "where the two disagree on who is asked for a blob, it is downloaded more than once",
    advice: "give all replicas the same cluster.members: they are read again without a restart",
  },
  "mixed-versions": {
    what: "runs a version that is not next to this one",
    means: "only neighbouring versions are tested together",
    advice: "update all replicas, one version at a time",
  },
  "ledger-away": {
    what: "cannot be used",
    means: NO_LEDGER,
    advice:
      "see what PostgreSQL says, or correct cluster.database.urlFile, and for its certificate cluster.database.ca",
  },
  "ledger-refused": {
    what: "refuses this replica",
    means: NO_LEDGER,
    advice: "correct the user, password and database in cluster.database.urlFile, and its grants",
  },
  "ledger-newer": {
    what: "was made by a newer version of Entrepot",
    means:
      "this replica does without it: it checks tags for itself, and hears of no purge and no pin",
    advice: "update this replica",
  },
  "store-away": {
    what: "does not answer",
    means: NOT_SHARED,
    advice:
      "check the object store and cluster.store.url, and for its certificate cluster.store.ca",
  },
  "store-missing": {
    what: "is not there",
    means: NOT_SHARED,
    advice: "create the bucket, or correct cluster.store.url and cluster.store.region",
  },
  "store-refused": {
    what: "refuses this replica's credentials",
    means: NOT_SHARED,
    advice: "check the credentials under cluster.store, their policy, and this machine's clock",
  },
  "store-read-only": {
    what: "cannot be written to",
    means: NOT_WRITTEN,
    advice: "allow s3:PutObject to the credentials under cluster.store",
  },
  "store-full": {
    what: "is full",
    means: NOT_WRITTEN,
    advice: "lower cluster.store.maxSize below the bucket's quota, or raise the quota",
  },
  "store-undeletable": {
    what: "does not let this replica delete",
    means: "nothing is evicted, and it grows beyond cluster.store.maxSize",
    advice: "allow s3:DeleteObject to the credentials under cluster.store",
    happens: true,
  },
  "store-pinned": {
    what: "is above its limit, and all that is left is pinned or locked",
    means: "nothing more is evicted from it, and it grows",
    advice: "raise cluster.store.maxSize, or unpin images: `entrepot pin` lists what is pinned",
    happens: true,
  },
  "store-corrupt": {
    what: "has sent wrong bytes",
    means: "they were thrown away and the blob came from elsewhere; its object is removed",
    advice: "check the disks of the object store",
    happens: true,
  },
} as const satisfies Readonly<Record<string, Description>>;

export type ClusterProblemKind = keyof typeof DESCRIPTIONS;

// Object.keys returns strings, whatever the type of the object's keys.
export const CLUSTER_PROBLEM_KINDS = Object.keys(DESCRIPTIONS) as readonly ClusterProblemKind[];

export interface ClusterProblem {
  readonly kind: ClusterProblemKind;
  /** What has it: the address of a member, the name of a bucket, the host of a database. */
  readonly subject: string;
  /** What is wrong, as it was met last. */
  readonly found: string;
  /** What that means for pulls and for the other replicas. */
  readonly means: string;
  readonly advice: string;
  /** All of that in one line. */
  readonly text: string;
}

/** What others answer may be long: so many characters of it say enough. */
const MAX_DETAIL = 300;

/** More than this many are not told apart: 256 members, each with what can be wrong with it. */
const MAX_PROBLEMS = 1024;

/**
 * What is degraded in this replica's view of its cluster: noticed by whatever meets it, shown by
 * `status`, `doctor`, `/metrics` and the log, in the same words.
 */
export class ClusterProblems {
  readonly #noticed: NoticedProblems<ClusterProblem>;

  /** @param overAfter in milliseconds */
  constructor(log: Log, { overAfter }: { readonly overAfter?: number } = {}) {
    const over = "a problem of the cluster is over";
    this.#noticed = new NoticedProblems({ log, over, overAfter });
  }

  /**
   * @param subject what has it, in the words of the configuration
   * @param detail what was met: an error's message, a status, by how much a clock is wrong
   */
  notice(kind: ClusterProblemKind, subject: string, detail: string): void {
    const key = keyOf(kind, subject);
    if (!this.#noticed.has(key) && this.#noticed.size >= MAX_PROBLEMS) return;
    const { happens = false }: Description = DESCRIPTIONS[kind];
    this.#noticed.notice(key, clusterProblem(kind, subject, detail), !happens);
  }

  /** What was wrong works again. To be called for each that was noticed, apart from what only happens. */
  over(kind: ClusterProblemKind, subject: string): void {
    this.#noticed.over(keyOf(kind, subject));
  }

  get current(): readonly ClusterProblem[] {
    return this.#noticed.current.map(({ problem }) => problem);
  }
}

/** A problem in the words in which all say it. */
export function clusterProblem(
  kind: ClusterProblemKind,
  subject: string,
  detail: string,
): ClusterProblem {
  const { what, means, advice } = DESCRIPTIONS[kind];
  // Some can say no more than that.
  const met = detail === `it ${what}` ? "" : ` (${printable(detail.slice(0, MAX_DETAIL))})`;
  const found = `${printable(subject)} ${what}${met}`;
  const text = `${found}: ${means}. ${advice[0]?.toUpperCase()}${advice.slice(1)}`;
  return { kind, subject, found, means, advice, text };
}

function keyOf(kind: ClusterProblemKind, subject: string): string {
  return `${kind} ${subject}`;
}
