import type { CloudCredentials } from "../../config/cloud/cloud-credentials.ts";
import { CloudError } from "./cloud-error.ts";
import type { IssuedToken } from "./issued-token.ts";

/** In milliseconds. Shorter than the request timeout, so that a pull can go on without credentials. */
const TIMEOUT = 8000;
/** Before the second attempt; doubled for each further one. In milliseconds. */
const FIRST_PAUSE = 200;

/**
 * What a cloud issues to this machine or workload for a registry. What may pass in a moment is tried again: a
 * metadata server may begin to answer after this process does.
 *
 * @throws CloudError
 */
export async function issuedToken(
  source: CloudCredentials,
  timeout: number = TIMEOUT,
): Promise<IssuedToken> {
  const signal = AbortSignal.timeout(timeout);
  const end = performance.now() + timeout;
  let last: CloudError | undefined;
  for (let pause = FIRST_PAUSE; ; pause *= 2) {
    try {
      return checked(await requestToken(source, signal));
    } catch (error) {
      // An attempt that was cut short says less than the one before.
      if (signal.aborted && last) throw last;
      const isLast = performance.now() + pause >= end;
      if (!(error instanceof CloudError) || !error.isPassing || isLast) throw error;
      last = error;
      await Bun.sleep(pause);
    }
  }
}

/** What speaks to a cloud is loaded where one is configured. */
async function requestToken(source: CloudCredentials, signal: AbortSignal): Promise<IssuedToken> {
  switch (source.cloud) {
    case "aws":
      return (await import("./aws/ecr-token.ts")).ecrToken(source, signal);
    case "google":
      return (await import("./google/access-token.ts")).googleToken(source, signal);
    case "azure":
      return (await import("./azure/acr-token.ts")).acrToken(source, signal);
  }
}

function checked(token: IssuedToken): IssuedToken {
  if (token.lifetime > 0) return token;
  throw new CloudError(
    "the token that was issued has expired already: is the clock of this machine right?",
  );
}

/** What a message names the source by: the key of the configuration, and whom the cloud takes this process for. */
export function sourceName({ cloud, identity, from }: CloudCredentials): string {
  return `auth.${cloud} (${from}), by ${WHO[`${cloud}:${identity.kind}`] ?? identity.kind},`;
}

const WHO: Readonly<Record<string, string>> = {
  "aws:keys": "the keys of the environment",
  "aws:web-identity": "the service account's role",
  "aws:profile": "the credentials file",
  "aws:container": "the role of the pod or task",
  "aws:instance": "the instance's role",
  "google:metadata": "the metadata server",
  "google:file": "GOOGLE_APPLICATION_CREDENTIALS",
  "azure:instance": "the machine's managed identity",
  "azure:service": "the container's managed identity",
  "azure:federated": "the workload identity",
  "azure:secret": "AZURE_CLIENT_SECRET",
};
