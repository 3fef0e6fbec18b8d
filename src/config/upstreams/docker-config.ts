import { z } from "zod";
import type { CredentialSource } from "../settings.ts";

const entrySchema = z.object({
  auth: z.string().optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  identitytoken: z.string().optional(),
});

const configSchema = z.object({
  auths: z.record(z.string(), entrySchema).nullish(),
  credHelpers: z.record(z.string(), z.string()).nullish(),
  credsStore: z.string().nullish(),
});

/** The username with which Docker's helpers and files mark the password as an identity token. */
export const IDENTITY_TOKEN_USER = "<token>";

/**
 * Finds the credentials for a registry in a Docker `config.json` or a Kubernetes `.dockerconfigjson`, in
 * Docker's order: `credHelpers`, `credsStore`, `auths`.
 *
 * @param hosts the registry's names, the one from image references first
 * @returns the credentials, undefined if the file has none, or what is wrong with the file
 */
export function readDockerConfig(
  text: string,
  hosts: readonly string[],
): CredentialSource | undefined | string {
  let parsed: ReturnType<typeof configSchema.safeParse>;
  try {
    parsed = configSchema.safeParse(JSON.parse(text));
  } catch {
    return "is not valid JSON";
  }
  if (!parsed.success)
    return "is not a Docker config.json, which has auths, credHelpers or credsStore";
  const { auths, credHelpers, credsStore } = parsed.data;
  const helper = findHost(credHelpers ?? {}, hosts);
  if (helper) return helperOf(helper.value, helper.key);
  const auth = findHost(auths ?? {}, hosts);
  if (credsStore) return helperOf(credsStore, auth?.key ?? serverOf(hosts));
  return auth && credentialsOf(auth.value, auth.key);
}

function helperOf(helper: string, server: string): CredentialSource | string {
  // The helper becomes part of a program name.
  if (!/^[\w.-]{1,64}$/.test(helper))
    return `has a credential helper with an invalid name: ${JSON.stringify(helper)}`;
  return { program: `docker-credential-${helper}`, server };
}

/** The name under which Docker keeps the credentials of a registry. */
export function serverOf(hosts: readonly string[]): string {
  return hosts[0] === "docker.io" ? "https://index.docker.io/v1/" : (hosts[0] ?? "");
}

/**
 * Finds the entry of the first host that has one. Keys are hosts, or URLs as old versions of Docker
 * wrote them.
 */
function findHost<Value>(
  table: Readonly<Record<string, Value>>,
  hosts: readonly string[],
): { key: string; value: Value } | undefined {
  const entries = Object.entries(table);
  for (const host of hosts) {
    const found = entries.find(([key]) => bareHost(key) === host);
    if (found) return { key: found[0], value: found[1] };
  }
  return undefined;
}

function bareHost(key: string): string {
  return key
    .replace(/^https?:\/\//i, "")
    .replace(/\/.*$/, "")
    .toLowerCase();
}

function credentialsOf(
  { auth, username, password, identitytoken }: z.infer<typeof entrySchema>,
  key: string,
): CredentialSource | undefined | string {
  if (identitytoken) return { username: IDENTITY_TOKEN_USER, password: identitytoken };
  if (username && password) return { username, password };
  if (!auth) return undefined;
  // The password may contain colons: a Google service account key is JSON, with the username _json_key.
  const [, name, secret] = /^([^:]+):(.+)$/s.exec(Buffer.from(auth, "base64").toString()) ?? [];
  if (name === undefined || secret === undefined)
    return `has an auth for ${key} that is not a Base64-encoded username:password`;
  return { username: name, password: secret };
}
