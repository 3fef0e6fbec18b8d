import path from "node:path";
import { ClaimTemplate } from "../access/claim-template.ts";
import type { JwtSettings, KeySource, PublicKey } from "../access/clients-settings.ts";
import { keySetSchema, keysUrl } from "../access/key-source.ts";
import type { JwtEntry } from "../clients-schema.ts";
import { quote } from "../parsing/problems.ts";
import { UnreadableError } from "../parsing/read-text.ts";
import type { Path } from "../parsing/yaml-source.ts";
import { type FileContext, readCaBundle } from "../upstreams/certificates.ts";
import type { ClientsContext } from "./clients-context.ts";

const MAX_BYTES = 256 * 1024;
const NAME = /^[a-z][a-z0-9-]{0,31}$/;
/** The sources that are there besides issuers. */
const TAKEN = new Set(["user", "token", "certificate"]);
const DISCOVERY = "/.well-known/openid-configuration";

type Context = Pick<ClientsContext, "folder" | "readFile" | "report" | "proxy">;

/** Reads the issuers of JSON Web Tokens. Problems are reported, and what has one is omitted. */
export function readIssuers(entries: readonly JwtEntry[], context: Context): JwtSettings[] {
  const names = new Set<string>();
  return entries.flatMap((entry, index) => {
    const at = ["clients", "jwt", index];
    const { name } = entry;
    if (!NAME.test(name) || TAKEN.has(name)) {
      const advice = TAKEN.has(name)
        ? "is what other principals are called after: use another name"
        : "is no name for an issuer: write up to 32 lower-case letters, digits and dashes";
      context.report([...at, "name"], `${quote(name)} ${advice}`, "value");
    } else if (names.has(name)) {
      const message = `is the name of an issuer before: its clients would be taken for those of the other`;
      context.report([...at, "name"], message, "value");
    }
    names.add(name);
    return readIssuer(at, entry, context) ?? [];
  });
}

function readIssuer(at: Path, entry: JwtEntry, context: Context): JwtSettings | undefined {
  const { name, issuer, audience, tokenFile, claims = {}, allowPrivate = false } = entry;
  const source = readSource(at, entry, context);
  const ca = readCaBundle(at, entry.ca, context);
  if (entry.jwksFile !== undefined) {
    for (const key of ["ca", "tokenFile", "allowPrivate"] as const) {
      if (entry[key] === undefined) continue;
      context.report([...at, key], "is of no use with jwksFile: nothing is fetched", "key");
    }
  }
  const principal = entry.principal ?? ClaimTemplate.parse("{sub}");
  if (!source || typeof principal === "string") return undefined;
  return {
    name,
    issuer,
    audiences: [audience].flat(),
    source,
    allowPrivate,
    ...(ca === undefined ? {} : { ca }),
    ...(tokenFile === undefined ? {} : { tokenFile: path.resolve(context.folder, tokenFile) }),
    ...(context.proxy ? { proxy: context.proxy } : {}),
    principal,
    claims: Object.entries(claims).map(([claim, values]) => ({ claim, values: [values].flat() })),
  };
}

function readSource(at: Path, entry: JwtEntry, context: Context): KeySource | undefined {
  const { issuer, jwksUrl, jwksFile } = entry;
  if (jwksUrl !== undefined && jwksFile !== undefined) {
    context.report([...at, "jwksFile"], "excludes jwksUrl: omit one of them", "key");
    return undefined;
  }
  if (jwksFile !== undefined) {
    const keys = readKeys([...at, "jwksFile"], jwksFile, context);
    return keys && { kind: "keys", keys };
  }
  const [key, text] = jwksUrl === undefined ? ["issuer", issuer] : ["jwksUrl", jwksUrl];
  const url = keysUrl(text);
  if (typeof url === "string") {
    const hint = jwksUrl === undefined ? ", or set jwksUrl or jwksFile" : "";
    context.report([...at, key], `${url}${hint}`, "value");
    return undefined;
  }
  if (jwksUrl !== undefined) return { kind: "url", url };
  const discovery = new URL(url);
  discovery.pathname = `${url.pathname.replace(/\/$/, "")}${DISCOVERY}`;
  return { kind: "discovery", url: discovery };
}

function readKeys(
  at: Path,
  file: string,
  { folder, readFile, report }: FileContext,
): readonly PublicKey[] | undefined {
  const name = path.resolve(folder, file);
  const refuse = (reason: string): undefined => {
    report(at, `${name} ${reason}`, "value");
  };
  let text: string;
  try {
    text = readFile(name, MAX_BYTES);
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    return refuse(error.message);
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return refuse('is not JSON: write a JSON Web Key Set, {"keys":[…]}');
  }
  const { data } = keySetSchema.safeParse(json);
  if (!data) return refuse('is no JSON Web Key Set: write {"keys":[…]}');
  if (data.keys.length === 0) return refuse("has no public key (RSA, EC or OKP)");
  if (data.keys.some((key) => "d" in key)) {
    return refuse("contains a private key: write the public one, without d, and replace the key");
  }
  return data.keys;
}
