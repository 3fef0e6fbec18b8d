/** A client certificate and its key, both as PEM text. */
export interface ClientIdentity {
  readonly certificate: string;
  readonly key: string;
}

/** A program that prints credentials for a cluster: `exec` of a kubeconfig. It is started without a shell. */
export interface ExecPlugin {
  readonly apiVersion: string;
  /** An absolute path, or a name in PATH. */
  readonly command: string;
  readonly args: readonly string[];
  /** In addition to the environment of the cache. */
  readonly env: Readonly<Record<string, string>>;
  /** Whether it is told where the cluster is. */
  readonly isToldCluster: boolean;
  /** What a person does if the program is missing. */
  readonly installHint?: string;
}

/** How the cache proves to a cluster who it is. */
export type ClusterCredentials =
  | { readonly kind: "none" }
  | { readonly kind: "token"; readonly token: string }
  /** Read anew for each request: Kubernetes replaces the token of a service account every hour. */
  | { readonly kind: "token-file"; readonly file: string }
  | { readonly kind: "exec"; readonly plugin: ExecPlugin };

/** Where the API of a cluster is, and how it is reached. */
export interface ClusterAccess {
  /** Its path, if any, has no trailing slash. */
  readonly server: URL;
  /** The CA certificates that are trusted, as PEM text. Absent: the public ones. */
  readonly ca?: string;
  /** The name in the server's certificate, if that is not the host of `server`. */
  readonly serverName?: string;
  /** Whether any certificate of the server is accepted. */
  readonly isInsecure: boolean;
  readonly proxy?: URL;
  readonly client?: ClientIdentity;
  readonly credentials: ClusterCredentials;
}

/** How long what a cluster runs is kept: `keep` of `kubernetes`. */
export interface KeepSettings {
  /** After it was last seen running, in days. */
  readonly days: number;
}

/** `kubernetes` of the configuration: the cluster whose images are wanted. It is only read. */
export interface KubernetesSettings {
  readonly access: ClusterAccess;
  /** Those that are read. Absent: all. */
  readonly namespaces?: readonly string[];
  readonly keep?: KeepSettings;
}
