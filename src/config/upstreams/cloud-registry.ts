import path from "node:path";
import type { AuthEntry } from "../auth-schema.ts";
import { awsRegistry } from "../cloud/aws-registry.ts";
import { azureRegistry } from "../cloud/azure-registry.ts";
import { type CloudContext, CloudProblem } from "../cloud/cloud-context.ts";
import type { CloudCredentials } from "../cloud/cloud-credentials.ts";
import { googleRegistry } from "../cloud/google-registry.ts";
import { UnreadableError } from "../parsing/read-text.ts";
import type { Path } from "../parsing/yaml-source.ts";
import type { UpstreamContext } from "./upstream-context.ts";

const MAX_FILE_BYTES = 64 * 1024;

/** Reads `auth.aws`, `auth.google` or `auth.azure` of an upstream. Problems are reported. */
export function readCloudCredentials(
  at: Path,
  { aws, google, azure }: AuthEntry,
  { url, connection }: { readonly url: URL } & Pick<CloudCredentials, "connection">,
  upstream: UpstreamContext,
): CloudCredentials | undefined {
  const key = [...at, aws ? "aws" : google ? "google" : "azure"];
  const context = { ...cloudContext(upstream), host: url.hostname.toLowerCase(), url };
  const more = { connection, from: upstream.location(key) };
  try {
    if (aws) return { ...awsRegistry(aws, context), ...more };
    if (google) return { ...googleRegistry(google, context), ...more };
    if (azure) return { ...azureRegistry(azure, context), ...more };
  } catch (error) {
    if (!(error instanceof CloudProblem)) throw error;
    upstream.report(key, error.message, "key");
  }
  return undefined;
}

function cloudContext({ env, readFile }: UpstreamContext): Omit<CloudContext, "host"> {
  const read = (file: string): string => {
    try {
      return readFile(path.resolve(file), MAX_FILE_BYTES);
    } catch (error) {
      if (!(error instanceof UnreadableError)) throw error;
      throw new CloudProblem(`${file} ${error.message}`);
    }
  };
  return {
    env,
    readFile(file) {
      const text = read(file);
      if (text.trim() === "") throw new CloudProblem(`${file} is empty`);
      return text;
    },
    hasFile(file) {
      try {
        return readFile(file, MAX_FILE_BYTES).trim() !== "";
      } catch (error) {
        if (!(error instanceof UnreadableError)) throw error;
        return false;
      }
    },
  };
}
