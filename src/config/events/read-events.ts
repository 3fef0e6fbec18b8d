import { hostname } from "node:os";
import path from "node:path";
import type { EventSettings, WebhookSettings } from "../operator/event-settings.ts";
import type { EventsEntry, WebhookEntry } from "../operator/events-schema.ts";
import { quote } from "../parsing/problems.ts";
import { UnreadableError } from "../parsing/read-text.ts";
import { type FileContext, readCaBundle } from "../upstreams/certificates.ts";

const MAX_SECRET_BYTES = 4096;
const MAX_SECRETS = 4;
const PREFIX = "whsec_";
/** In bytes, as Standard Webhooks have it. */
const KEY_LENGTH = { from: 24, to: 64 };

/** The characters of RFC 3986: receivers may refuse what has others. */
const URI = /^(?:[\w\-.~:/?#[\]@!$&'()*+,;=]|%[0-9a-f]{2})+$/i;
/** Names are parts of file names, and labels of metrics. */
const NAME = /^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/;

/** Reads `events` of the configuration. Problems are reported. */
export function readEvents(entry: EventsEntry, context: FileContext): EventSettings {
  const { source = `//${hostname()}`, webhooks = {} } = entry;
  if (!URI.test(source) || !URL.canParse(source, "https://host")) {
    const advice = "write one such as https://cache.example or urn:cache:1";
    context.report(["events", "source"], `${quote(source)} is no URI: ${advice}`, "value");
  }
  return {
    source,
    webhooks: Object.entries(webhooks).flatMap(
      ([name, webhook]) => readWebhook(name, webhook, context) ?? [],
    ),
  };
}

function readWebhook(
  name: string,
  entry: WebhookEntry,
  context: FileContext,
): WebhookSettings | undefined {
  const at = ["events", "webhooks", name];
  const { format = "standard", secretFile, types } = entry;
  if (!NAME.test(name)) {
    const advice = "write up to 40 lower-case letters, digits and dashes";
    context.report(at, `${quote(name)} is no name for a receiver: ${advice}`, "key");
  }
  const url = readUrl(entry.url, (message) => context.report([...at, "url"], message, "value"));
  const ca = readCaBundle(at, entry.ca, context);
  if (secretFile === undefined && format === "standard") {
    const advice = "its receiver verifies signatures: set secretFile, or another format";
    context.report([...at], `format standard needs a secretFile: ${advice}`, "key");
  }
  const secrets =
    secretFile === undefined ? [] : readSecrets([...at, "secretFile"], secretFile, context);
  if (!url) return undefined;
  return {
    name,
    url,
    format,
    secrets,
    ...(types ? { types } : {}),
    ...(ca === undefined ? {} : { ca }),
  };
}

function readUrl(text: string, report: (message: string) => void): URL | undefined {
  const url = URL.parse(text);
  if (!url || (url.protocol !== "https:" && url.protocol !== "http:")) {
    report(`${quote(text)} is no URL: write http:// or https://`);
    return undefined;
  }
  if (url.username || url.password) {
    report("contains credentials: receivers verify the signature instead");
    return undefined;
  }
  return url;
}

function readSecrets(
  at: readonly (string | number)[],
  file: string,
  { folder, readFile, report }: FileContext,
): readonly string[] {
  const name = path.resolve(folder, file);
  const refuse = (reason: string): readonly [] => {
    report([...at], `${name} ${reason}`, "value");
    return [];
  };
  let text: string;
  try {
    text = readFile(name, MAX_SECRET_BYTES);
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    return refuse(error.message);
  }
  const secrets = text.split(/\r?\n/).flatMap((line) => line.trim() || []);
  if (secrets.length === 0) return refuse("contains no secret");
  if (secrets.length > MAX_SECRETS) return refuse(`has more than ${MAX_SECRETS} secrets`);
  const generate = "(printf whsec_; openssl rand -base64 32)";
  if (!secrets.every(isSecret)) {
    return refuse(`is no secret: write whsec_ and Base64 of 24 to 64 bytes ${generate}`);
  }
  return secrets;
}

function isSecret(secret: string): boolean {
  const text = secret.slice(PREFIX.length);
  if (!secret.startsWith(PREFIX) || !/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return false;
  const { length } = Buffer.from(text, "base64");
  return text.length % 4 === 0 && length >= KEY_LENGTH.from && length <= KEY_LENGTH.to;
}
