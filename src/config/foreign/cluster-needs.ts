import { createHash } from "node:crypto";
import type { Path } from "../parsing/yaml-source.ts";
import type { Origin } from "./origin.ts";

/** Where the chart mounts Secrets (`secretMounts`), a folder each. */
export const SECRETS_IN_CHART = "/run/secrets/";
/** A name of a volume with `secret-` before it, which has at most 63 characters. */
const MOUNT_KEY = /^[a-z0-9](?:[a-z0-9-]{0,54}[a-z0-9])?$/;

/** The key of a Secret in `secretMounts`: names of Secrets may have dots and be long, and those of volumes not. */
export function mountKey(secret: string): string {
  // The chart's own are there.
  if (MOUNT_KEY.test(secret) && secret !== "entrepot") return secret;
  const hash = createHash("sha256").update(secret).digest("hex").slice(0, 8);
  return `${secret.replaceAll(/[^a-z0-9]+/g, "-").slice(0, 40)}-${hash}`.replace(/^-/, "");
}

/** The folder in which the chart mounts a Secret. */
export function mountedSecret(secret: string): string {
  return SECRETS_IN_CHART + mountKey(secret);
}

/** A volume that a registry had for itself. */
export interface ClaimedVolume {
  readonly upstream: string;
  /** A quantity of Kubernetes, such as 10Gi. */
  readonly size: string;
  readonly from: Origin;
  readonly storageClass?: { readonly name: string; readonly from: Origin };
}

/** A Secret that is mounted, and not copied. */
export interface MountedSecret {
  readonly name: string;
  readonly keys: readonly string[];
  /** The setting of entrepot.yaml that names its folder, or a file in it. */
  readonly at: Path;
}

/** The name of a Service that led to one registry. */
export interface ServiceName {
  readonly upstream: string;
  readonly suffix: string;
  readonly from: Origin;
}

/** What registries have of their cluster. A chart gives it, and an entrepot.yaml cannot. */
export class ClusterNeeds {
  readonly volumes: ClaimedVolume[] = [];
  readonly secrets: MountedSecret[] = [];
  readonly serviceNames: ServiceName[] = [];
  /** Where TLS is asked for, or left to a default that has it. */
  tls: Origin | undefined;
  readonly highAvailability: Origin[] = [];
  /** The address families of a cluster that has IPv6. */
  ipFamilies: { readonly families: readonly string[]; readonly from: Origin } | undefined;
}
