import path from "node:path";
import type { ImportedConfig } from "../foreign/imported-config.ts";
import { formatDuration, parseGoDuration } from "../parsing/kubernetes-quantities.ts";
import { quote } from "../parsing/problems.ts";
import { DOCKER_HUB } from "../settings.ts";
import type { RegistrySettings } from "./registry-settings.ts";

/** What registry:3 asks the program for: the host of the token endpoint, which Docker Hub has apart. */
const HUB_TOKEN_HOST = "auth.docker.io";

/**
 * Imports `proxy.exec`, the credential helper that registry:3 runs. Returns whether the registry has
 * one.
 */
export function importHelper(
  { settings, isInContainer, hostPath }: RegistrySettings,
  name: string,
  imported: ImportedConfig,
): boolean {
  const command = settings.get("proxy.exec.command");
  if (!command) return false;
  const onHost = isInContainer ? hostPath?.(command.value) : command.value;
  const program = onHost ?? path.basename(command.value);
  if (onHost === undefined) {
    const message = `${quote(command.value)} is inside the container: install ${program} on this machine, in PATH`;
    imported.warn(command.from, message, "clients");
  }
  const lifetime = settings.get("proxy.exec.lifetime");
  const ttl = lifetime && parseGoDuration(lifetime.value);
  if (lifetime && (ttl === undefined || ttl < 0)) {
    imported.reject(lifetime.from, `${quote(lifetime.value)} is not a valid duration: write 1h`);
  }
  const helper = {
    program,
    ...(name === DOCKER_HUB ? { server: HUB_TOKEN_HOST } : {}),
    ...(ttl === undefined || ttl < 0 ? {} : { ttl: formatDuration(ttl) }),
  };
  imported.set(["upstreams", name, "auth"], [{ helper }], command.from);
  return true;
}
