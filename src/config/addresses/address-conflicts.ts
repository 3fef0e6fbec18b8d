import type { ClientsSettings } from "../access/clients-settings.ts";
import type { ClusterSettings } from "../cluster-settings.ts";
import { type Address, formatAddress } from "../parsing/address.ts";
import { type AddressUse, isSameHost, UsedAddresses } from "../parsing/host-overlap.ts";
import type { Problem } from "../parsing/problems.ts";
import type { Path } from "../parsing/yaml-source.ts";
import { addressOf, type UpstreamSettings } from "../settings.ts";

/** A setting or an upstream that uses an address. */
export interface AddressUser {
  readonly name: string;
  readonly raw: { readonly isDefault: boolean; readonly problem: (message: string) => Problem };
}

export function clusterAddress(
  cluster: ClusterSettings | undefined,
  file: File,
): AddressUse<AddressUser>[] {
  if (!cluster) return [];
  const isDefault = file.settings.cluster?.listen === undefined;
  const problem = (message: string): Problem => file.problem(["cluster", "listen"], message);
  return [{ address: cluster.listen, user: { name: "cluster", raw: { isDefault, problem } } }];
}

export function certificatesAddress(
  clients: ClientsSettings | undefined,
  file: File,
): AddressUse<AddressUser>[] {
  const address = clients?.certificates?.listen;
  if (!address) return [];
  const path = ["clients", "certificates", "listen"];
  const problem = (message: string): Problem => file.problem(path, message);
  return [{ address, user: { name: "clients.certificates", raw: { isDefault: false, problem } } }];
}

export function upstreamAddress(
  { upstream, at }: { readonly upstream: UpstreamSettings; readonly at: Path },
  listen: Address,
  file: File,
): AddressUse<AddressUser>[] {
  const address = addressOf(upstream, { listen });
  if (!address) return [];
  const key = upstream.listen ? "listen" : "port";
  const problem = (message: string) => file.problem([...at, key], message);
  return [{ address, user: { name: upstream.name, raw: { isDefault: false, problem } } }];
}

/** Where the problems of a configuration file are. */
interface File {
  readonly settings: { readonly cluster?: { readonly listen?: unknown } | undefined };
  problem(at: Path, message: string): Problem;
}

/** Reports each conflict at the later setting, or at the earlier one if the later has its default value. */
export function addressConflicts(uses: readonly AddressUse<AddressUser>[]): Problem[] {
  const used = new UsedAddresses<AddressUser>();
  return uses.flatMap((use) => {
    const other = used.add(use);
    if (!other) return [];
    const [reported, owner] = use.user.raw.isDefault ? [other, use] : [use, other];
    return [reported.user.raw.problem(conflictBetween(reported.address, owner))];
  });
}

function conflictBetween({ host, port }: Address, other: AddressUse<AddressUser>): string {
  const where = isSameHost(host, other.address.host) ? "" : ` at ${formatAddress(other.address)}`;
  return `port ${port} is already used by ${other.user.name}${where}`;
}
