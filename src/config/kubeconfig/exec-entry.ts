import path from "node:path";
import { quote } from "../parsing/problems.ts";
import type { ExecEntry } from "./kubeconfig-schema.ts";
import type { ExecPlugin } from "../kubernetes-api/kubernetes-settings.ts";

const VERSIONS: ReadonlySet<string> = new Set([
  "client.authentication.k8s.io/v1",
  "client.authentication.k8s.io/v1beta1",
]);

/**
 * Reads an exec plugin (kubernetes.io/docs/reference/access-authn-authz/authentication, client-go credential plugins).
 *
 * @param folder of the kubeconfig: a command with a slash is relative to it
 * @returns what is wrong with it, if anything is
 */
export function parseExec(
  { apiVersion, command, args, env, ...entry }: ExecEntry,
  folder: string,
): ExecPlugin | string {
  if (!VERSIONS.has(apiVersion)) {
    return `has the apiVersion ${quote(apiVersion)}, which is not supported: use client.authentication.k8s.io/v1`;
  }
  if (entry.interactiveMode === "Always") {
    return "asks a person (interactiveMode: Always): a cache has none at its side. Use a token, a client certificate or another plugin";
  }
  if ([command, ...args].some((part) => part.includes("\0"))) return "has a NUL in its command";
  return {
    apiVersion,
    command: command.includes("/") ? path.resolve(folder, command) : command,
    args,
    env: Object.fromEntries(env.map(({ name, value }) => [name, value])),
    isToldCluster: entry.provideClusterInfo ?? false,
    ...(entry.installHint ? { installHint: entry.installHint } : {}),
  };
}
