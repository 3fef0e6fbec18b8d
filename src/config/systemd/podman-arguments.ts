import { readRun } from "../distribution/command-line/run-command.ts";
import type { Container } from "../distribution/container/container.ts";
import type { HostFolders } from "../distribution/container/notation.ts";
import type { UnitValues } from "./unit-values.ts";

/** Adds what `PodmanArgs=` says of a container, in the notation of `podman run`. */
export function withPodmanArguments(
  container: Container,
  values: UnitValues,
  folders: HostFolders,
): Container {
  const { readFile, imported } = values.context;
  const words = values.words("PodmanArgs");
  const [first] = words;
  if (!first) return container;
  // Any image makes a command of them.
  const args = [...words, { value: "registry:2", from: first.from }].map(({ value, from }) => ({
    text: value,
    line: from.line,
    isOpen: false,
  }));
  const { file, line } = first.from;
  const more = readRun({ program: "podman", args, line }, file, folders, readFile, imported);
  if (!more) return container;
  return {
    ...container,
    entrypoint: more.entrypoint ?? container.entrypoint,
    environment: [...container.environment, ...more.environment],
    mounts: [...container.mounts, ...more.mounts],
    ports: [...container.ports, ...more.ports],
    network: container.network ?? more.network,
    publishesAll: container.publishesAll ?? more.publishesAll,
    extraHosts: [...container.extraHosts, ...more.extraHosts],
    nameServers: [...container.nameServers, ...more.nameServers],
    user: more.user ?? container.user,
  };
}
