import type { DatabaseSettings } from "./database-settings.ts";
import type { Address } from "./parsing/address.ts";
import type { ProxyRule } from "./parsing/proxy.ts";

/** The certificate of a replica, and who signs those of the others. All are PEM text. */
export interface ClusterIdentity {
  readonly certificate: string;
  readonly key: string;
  /** CA certificates to trust for the other replicas instead of the public ones. */
  readonly ca?: string;
}

/** Where the keys of the shared store come from. The files may be replaced at any time. */
export type AccessKeySettings =
  | {
      readonly kind: "files";
      readonly accessKeyFile: string;
      readonly secretKeyFile: string;
      readonly sessionTokenFile?: string;
    }
  | {
      readonly kind: "web-identity";
      readonly tokenFile: string;
      readonly roleArn: string;
      readonly stsUrl: URL;
    };

/** An object store that all replicas share. */
export interface SharedStoreSettings {
  /** Of all objects together, in bytes. Absent: no limit. */
  readonly maxSize?: number;
  /** The bucket, and below it the prefix of all keys if there is one. */
  readonly url: URL;
  /** Whether the bucket is the first part of the URL's path, and not of its host name. */
  readonly isPathStyle: boolean;
  readonly region: string;
  /** Which responses clients get from the store itself: those with so many bytes. Absent: none. */
  readonly redirect?: { readonly from: number };
  readonly keys: AccessKeySettings;
  /** CA certificates to trust in addition to the public ones, as PEM text. */
  readonly ca?: string;
  /** Absent: direct connections. */
  readonly proxy?: ProxyRule;
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
  /** Absent: replicas share nothing but what they send each other. */
  readonly store?: SharedStoreSettings;
}
