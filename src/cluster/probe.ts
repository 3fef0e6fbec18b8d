import { randomBytes } from "node:crypto";
import { lookup } from "node:dns/promises";
import { networkInterfaces } from "node:os";
import type { ClusterSettings } from "../config/cluster-settings.ts";
import { ByteBudget } from "../process/byte-budget.ts";
import { LEDGER_PROBLEMS, ledgerName } from "./cluster-ledger.ts";
import { type ClusterProblem, clusterProblem } from "./cluster-problems.ts";
import { memberAt } from "./members/configured-members.ts";
import type { Member } from "./members/members.ts";
import { ownUrl } from "./members/own-address.ts";
import { sharedStoreName } from "./open-shared-store.ts";
import { probeSharedStore } from "./probe-store.ts";
import { probeLedger } from "./postgres/probe-ledger.ts";
import { ReplicaClient } from "./replicas/replica-client.ts";
import { Signatures } from "./replicas/signature.ts";

/** How long each part may take to answer, in milliseconds: longer than a replica would wait. */
const TIMEOUT_MS = 2000;
/** A ping has a body of a few bytes. */
const BUDGET_BYTES = 2 ** 20;

/** Who asks: not this replica, which others would take to be alive. */
const NOBODY = memberAt(new URL("http://doctor.invalid"));

/** A part of a cluster, asked once, by a replica that does not run. */
export interface Probed {
  /** A member's address. */
  readonly subject: string;
  /** What it answered, where that is well. */
  readonly found: string;
  readonly problem?: ClusterProblem;
}

/** Asks all parts of a cluster that are configured. */
export async function probeCluster(settings: ClusterSettings): Promise<readonly Probed[]> {
  const parts = await Promise.all([
    probeMembers(settings),
    probeDatabase(settings),
    probeStore(settings),
  ]);
  return parts.flat();
}

async function probeDatabase({ database }: ClusterSettings): Promise<readonly Probed[]> {
  if (!database) return [];
  const subject = ledgerName(database);
  const probed = await probeLedger(database, TIMEOUT_MS);
  if ("absence" in probed) {
    const problem = clusterProblem(LEDGER_PROBLEMS[probed.absence], subject, probed.reason);
    return [{ subject, found: problem.found, problem }];
  }
  const tables = probed.version === 0 ? "without tables yet" : `schema version ${probed.version}`;
  return [{ subject, found: `answers, ${tables}` }];
}

async function probeStore({ store }: ClusterSettings): Promise<readonly Probed[]> {
  if (!store) return [];
  const subject = sharedStoreName(store);
  const probed = await probeSharedStore(store);
  if (probed.kind === "ok") return [{ subject, found: "answers, and can be written to" }];
  const problem = clusterProblem(probed.kind, subject, probed.reason);
  return [{ subject, found: problem.found, problem }];
}

/** Asks each other member whether it answers this replica. */
async function probeMembers(settings: ClusterSettings): Promise<readonly Probed[]> {
  using client = new ReplicaClient({
    signatures: new Signatures(settings.secret),
    instance: randomBytes(12).toString("base64url"),
    self: () => NOBODY,
    tls: settings.tls,
    budget: new ByteBudget(BUDGET_BYTES),
  });
  const members = settings.members.map(memberAt);
  const areOwn = await Promise.all(members.map((member) => isOwn(member, settings)));
  return await Promise.all(
    members.map(async (member, at): Promise<Probed> => {
      if (areOwn[at]) return { subject: member.id, found: "is this replica, which does not run" };
      const state = await client.ping(member, AbortSignal.timeout(TIMEOUT_MS));
      const subject = member.id;
      if (state.kind === "alive")
        return { subject, found: `answers, with ${state.greeting.version}` };
      const problem = clusterProblem(state.kind, subject, state.reason);
      return { subject, found: problem.found, problem };
    }),
  );
}

/** Whether a member is this replica, under its own address or a name that leads to this machine. */
async function isOwn({ id, url }: Member, settings: ClusterSettings): Promise<boolean> {
  if (id === memberAt(ownUrl(settings, settings.listen.port)).id) return true;
  if (Number(url.port) !== settings.listen.port) return false;
  const here = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const found = await lookup(url.hostname.replaceAll(/[[\]]/g, ""), { all: true }).catch(() => []);
  return found.some((one) => here.some(({ address }) => address === one.address));
}
