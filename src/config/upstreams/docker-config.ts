import { z } from "zod";
import type { CredentialSource } from "../settings.ts";

const entry = z.object({
  auth: z.string().optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  identitytoken: z.string().optional(),
});

const form = z.object({
  auths: z.record(z.string(), entry).nullish(),
  credHelpers: z.record(z.string(), z.string()).nullish(),
  credsStore: z.string().nullish(),
});

/** The user's name under which Docker's helpers and files give an identity token for a password. */
export const IDENTITY_TOKEN_USER = "<token>";

/**
 * What a Docker `config.json` (or a Kubernetes `.dockerconfigjson`) has for a registry, with Docker's
 * own order: its helper, the general helper, the file itself.
 *
 * @param hosts names of the registry, the one in images first
 * @returns the credentials, `undefined` where it has none, or what is wrong with it
 */
export function readDockerConfig(
  text: string,
  hosts: readonly string[],
): CredentialSource | undefined | string {
  let parsed: ReturnType<typeof form.safeParse>;
  try {
    parsed = form.safeParse(JSON.parse(text));
  } catch {
    return "is no JSON";
  }
  if (!parsed.success)
    return "has not the form of a Docker config.json: auths, credHelpers, credsStore";
  const { auths, credHelpers, credsStore } = parsed.data;
  const helper = find(credHelpers ?? {}, hosts);
  if (helper) return helperOf(helper.value, helper.key);
  const known = find(auths ?? {}, hosts);
  if (credsStore) return helperOf(credsStore, known?.key ?? serverOf(hosts));
  return known && credentialsOf(known.value, known.key);
}

function helperOf(helper: string, server: string): CredentialSource | string {
  // It becomes part of a program's name.
  if (!/^[\w.-]{1,64}$/.test(helper))
    return `names a credential helper ${JSON.stringify(helper)}, which is no name`;
  return { helper, server };
}

function serverOf(hosts: readonly string[]): string {
  return hosts[0] === "docker.io" ? "https://index.docker.io/v1/" : (hosts[0] ?? "");
}

/** Keys are hosts, or URLs as old versions of Docker wrote them. */
function find<Value>(
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
  { auth, username, password, identitytoken }: z.infer<typeof entry>,
  key: string,
): CredentialSource | undefined | string {
  if (identitytoken) return { username: IDENTITY_TOKEN_USER, password: identitytoken };
  if (username && password) return { username, password };
  if (!auth) return undefined;
  // The password may hold colons: a key of Google's is JSON, under the name _json_key.
  const [, name, secret] = /^([^:]+):(.+)$/s.exec(Buffer.from(auth, "base64").toString()) ?? [];
  if (name === undefined || secret === undefined)
    return `has an auth for ${key} that is no name and password in Base64`;
  return { username: name, password: secret };
}
