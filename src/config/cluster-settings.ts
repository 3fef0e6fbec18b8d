import type { DatabaseSettings } from "./database-settings.ts";
import type { Address } from "./parsing/address.ts";

/** The certificate of a replica, and who signs those of the others. All are PEM text. */
export interface ClusterIdentity {
  readonly certificate: string;
  readonly key: string;
  /** CA certificates to trust for the other replicas instead of the public ones. */
  readonly ca?: string;
}

/** How this cache works together with other replicas. */
export interface ClusterSettings {
  /** The address for other replicas. */
  readonly listen: Address;
  /** Where other replicas reach this one. Absent: the first private address of this machine. */
  readonly advertise?: URL;
  /** What all replicas know, and nobody else. */
  readonly secret: string;
  /** Replicas speak HTTPS among each other if it is set. */
  readonly tls?: ClusterIdentity;
  /** The addresses of all replicas; this one may be among them. */
  readonly members: readonly URL[];
  /** Absent: replicas know of each other by the addresses alone. */
  readonly database?: DatabaseSettings;
}
