import type { ProxyRule } from "../parsing/proxy.ts";

/** How the interfaces of a cloud are reached. Metadata servers are reached without a proxy. */
interface Connection {
  /** CA certificates that are trusted in addition to the public ones, in PEM. */
  readonly ca?: string;
  readonly proxy?: ProxyRule;
}

interface CloudSource {
  readonly connection: Connection;
  /** Where it was configured (`file:line:column`), for messages. */
  readonly from: string;
}

/** Where the access keys of AWS come from, as its SDKs find them. */
export type AwsIdentity =
  | {
      readonly kind: "keys";
      readonly accessKeyId: string;
      readonly secretAccessKey: string;
      readonly sessionToken?: string;
    }
  | {
      readonly kind: "web-identity";
      readonly tokenFile: string;
      readonly roleArn: string;
      readonly sessionName: string;
      readonly stsUrl: URL;
    }
  /** Static keys in a credentials file. */
  | { readonly kind: "profile"; readonly file: string; readonly profile: string }
  /** What EKS Pod Identity and ECS give a container. */
  | {
      readonly kind: "container";
      readonly url: URL;
      readonly token?: string;
      readonly tokenFile?: string;
    }
  /** The role of an EC2 instance. */
  | { readonly kind: "instance"; readonly url: URL };

/** Amazon ECR, private or public. */
export interface AwsCredentials extends CloudSource {
  readonly cloud: "aws";
  readonly service: "ecr" | "ecr-public";
  readonly region: string;
  /** Where tokens are asked for. */
  readonly api: URL;
  readonly identity: AwsIdentity;
}

export type GoogleIdentity =
  | { readonly kind: "metadata"; readonly url: URL }
  /** A file of the application default credentials. */
  | { readonly kind: "file"; readonly file: string };

/** Google Artifact Registry. */
export interface GoogleCredentials extends CloudSource {
  readonly cloud: "google";
  readonly identity: GoogleIdentity;
}

export type AzureIdentity =
  | { readonly kind: "instance"; readonly url: URL; readonly clientId?: string }
  /** What App Service and Container Apps give a container. */
  | {
      readonly kind: "service";
      readonly url: URL;
      readonly header: string;
      readonly clientId?: string;
    }
  | {
      readonly kind: "federated";
      readonly authority: URL;
      readonly tenantId: string;
      readonly clientId: string;
      readonly tokenFile: string;
    }
  | {
      readonly kind: "secret";
      readonly authority: URL;
      readonly tenantId: string;
      readonly clientId: string;
      readonly secret: string;
    };

/** Azure Container Registry. */
export interface AzureCredentials extends CloudSource {
  readonly cloud: "azure";
  /** The registry's own host name, as Azure knows it. */
  readonly registry: string;
  /** Where the registry exchanges tokens. */
  readonly exchange: URL;
  readonly identity: AzureIdentity;
}

/** Credentials that a cloud issues to this machine or workload, for a registry of that cloud. */
export type CloudCredentials = AwsCredentials | GoogleCredentials | AzureCredentials;
