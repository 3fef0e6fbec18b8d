import path from "node:path";
import type { ClusterEntry } from "../cluster-schema.ts";
import type { ClusterIdentity, ClusterSettings } from "../cluster-settings.ts";
import { addressProblem, parseAddress } from "../parsing/address.ts";
import { UnreadableError } from "../parsing/read-text.ts";
import { type FileContext, readCaBundle, readIdentity } from "../upstreams/certificates.ts";
import { readDatabase } from "./read-database.ts";
import { receivesCredentials } from "./credential-trap.ts";
import { readSharedStore, type SharedStoreContext } from "./read-shared-store.ts";

const DEFAULT_LISTEN = "0.0.0.0:5002";
const ANY_HOST = "0.0.0.0";
const MAX_SECRET_BYTES = 4096;
/** In characters. Shorter secrets could be guessed. */
const MIN_SECRET_LENGTH = 16;

export interface ClusterContext extends SharedStoreContext {
  /** What nodes call this cache, as far as the configuration tells: hosts without ports. */
  readonly ownNames: readonly string[];
}

/** Reads `cluster` of the configuration. Problems are reported. */
export function readCluster(
  entry: ClusterEntry,
  context: ClusterContext,
): ClusterSettings | undefined {
  const listenText = entry.listen ?? DEFAULT_LISTEN;
  const listen = parseAddress(listenText, ANY_HOST);
  if (!listen) context.report(["cluster", "listen"], addressProblem(listenText), "value");
  const secret = readSecret(entry.secretFile, context);
  const tls = entry.tls && readTls(entry.tls, context);
  const { advertise, members = [] } = entry;
  const scheme = entry.tls ? "https:" : "http:";
  const checkScheme = (url: URL, at: readonly (string | number)[]): void => {
    if (url.protocol === scheme) return;
    const reason = entry.tls ? "cluster.tls is set" : "cluster.tls is not set";
    context.report(
      ["cluster", ...at],
      `${url.origin} is not ${scheme}//, though ${reason}`,
      "value",
    );
  };
  if (advertise) checkScheme(advertise, ["advertise"]);
  members.forEach((url, index) => checkScheme(url, ["members", index]));
  const database = entry.database && readDatabase(entry.database, context);
  const store = entry.store && readSharedStore(entry.store, context);
  if (entry.store?.maxSize !== undefined && !entry.database) {
    const why = "without it, no replica knows what all of them use";
    context.report(["cluster", "store", "maxSize"], `needs cluster.database: ${why}`, "key");
  }
  if (store?.redirect) {
    const names = [...context.ownNames, ...(advertise ? [advertise.hostname] : [])];
    const name = names.find((own) => receivesCredentials(store.url, own));
    if (name !== undefined) reportTrap(store.url, name, context);
  }
  if (!listen || secret === undefined || (entry.tls && !tls)) return undefined;
  return {
    listen,
    secret,
    members: distinct(members),
    ...(advertise ? { advertise } : {}),
    ...(tls ? { tls } : {}),
    ...(database ? { database } : {}),
    ...(store ? { store } : {}),
  };
}

function reportTrap({ hostname }: URL, name: string, { report }: FileContext): void {
  const which = hostname === name ? "the host name" : "a host name below that";
  const message = `${hostname} is ${which} of this cache, ${name}: containerd would send it the credentials that nodes have for the cache, and it refuses such requests. Give the object store another name, or omit redirect`;
  report(["cluster", "store", "redirect"], message, "key");
}

/** The same address may be written in several ways, such as with and without its port. */
function distinct(urls: readonly URL[]): readonly URL[] {
  return [...new Map(urls.map((url) => [url.origin, url])).values()];
}

function readSecret(file: string, { folder, readFile, report }: FileContext): string | undefined {
  const name = path.resolve(folder, file);
  const at = ["cluster", "secretFile"];
  try {
    const secret = readFile(name, MAX_SECRET_BYTES).trim();
    if (secret.length >= MIN_SECRET_LENGTH) return secret;
    report(
      at,
      `${name} has fewer than ${MIN_SECRET_LENGTH} characters: make one with \`openssl rand -hex 32\``,
      "value",
    );
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    report(at, `${name} ${error.message}`, "value");
  }
  return undefined;
}

function readTls(
  { certificate, key, ca }: NonNullable<ClusterEntry["tls"]>,
  context: FileContext,
): ClusterIdentity | undefined {
  const at = ["cluster", "tls"];
  const identity = readIdentity(
    { at: [...at, "certificate"], file: certificate },
    { at: [...at, "key"], file: key },
    context,
  );
  const bundle = readCaBundle(at, ca, context);
  if (!identity || (ca !== undefined && bundle === undefined)) return undefined;
  return { ...identity, ...(bundle === undefined ? {} : { ca: bundle }) };
}
