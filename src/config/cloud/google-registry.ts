import type { z } from "zod";
import { type CloudContext, CloudProblem, registryHost } from "./cloud-context.ts";
import type { GoogleCredentials } from "./cloud-credentials.ts";
import type { googleSchema } from "./cloud-schema.ts";
import { parseGoogleFile } from "./google-file.ts";

const HOST = /^(?:[a-z\d-]+\.)*(?:pkg\.dev|gcr\.io)$/;
/** Of machines and of pods of GKE, where it needs no DNS. */
const METADATA = "169.254.169.254";

/** @throws CloudProblem */
export function googleRegistry(
  entry: z.infer<typeof googleSchema>,
  context: CloudContext,
): Omit<GoogleCredentials, "connection" | "from"> {
  registryHost(entry, context, {
    isKnown: (name) => HOST.test(name),
    example: "europe-west1-docker.pkg.dev",
  });
  const { env, readFile } = context;
  const file = env["GOOGLE_APPLICATION_CREDENTIALS"];
  if (file) {
    const problem = parseGoogleFile(readFile(file));
    if (typeof problem === "string") throw new CloudProblem(`${file} ${problem}`);
    return { cloud: "google", identity: { kind: "file", file } };
  }
  const host = env["GCE_METADATA_HOST"] || METADATA;
  const url = URL.parse(`http://${host}/`);
  if (!url || url.pathname !== "/" || url.username !== "") {
    throw new CloudProblem("GCE_METADATA_HOST is not a host: write host or host:port");
  }
  return { cloud: "google", identity: { kind: "metadata", url } };
}
