import { askedCredentialsNotes } from "../config/access/asked-credentials.ts";
import { bottlerocket } from "./bottlerocket.ts";
import { buildkit } from "./buildkit.ts";
import { cloudInit, proxmox } from "./cache-machine/cloud-init.ts";
import { containerd, eks, k0s, kind, microk8s, nerdctl } from "./containerd.ts";
import { crio, podman } from "./containers.ts";
import { docker } from "./docker.ts";
import { gardener } from "./gardener.ts";
import { kaniko } from "./kaniko.ts";
import { k3s, rke2 } from "./rancher.ts";
import { compose } from "./cache-machine/compose.ts";
import { systemd, systemdSocket } from "./cache-machine/service.ts";
import { talos, talosDocuments } from "./talos.ts";
import {
  type Notes,
  RenderError,
  type RenderedFile,
  type RenderInput,
  type Target,
} from "./target.ts";

/** In the order in which they are listed. */
export const TARGETS: readonly Target[] = [
  containerd,
  k3s,
  rke2,
  k0s,
  microk8s,
  kind,
  talos,
  talosDocuments,
  docker,
  podman,
  crio,
  buildkit,
  kaniko,
  nerdctl,
  bottlerocket,
  eks,
  gardener,
  cloudInit,
  proxmox,
  systemd,
  systemdSocket,
  compose,
];

/** Of the targets that run the cache itself, those that need no `--cache` and take a configuration. */
const TAKES_CONFIG: ReadonlySet<Target> = new Set([systemd, systemdSocket]);

/** @throws RenderError */
export function render(target: Target, input: RenderInput): readonly RenderedFile[] {
  if (input.config && target.isCacheItself && !TAKES_CONFIG.has(target)) {
    throw new RenderError(
      `${target.name} takes nothing from --config: render it without, and write the ports of your entrepot.yaml into it`,
    );
  }
  // The other targets name only one address of the cache, where these are not served.
  const upstreams =
    target === kaniko ? input.upstreams : input.upstreams.filter(({ isAlone }) => !isAlone);
  return target.render({ ...input, upstreams }, notesOf(target, input));
}

/** The notes of a target, with what this cache asks of its clients. */
export function notesOf(
  { notes, credentials }: Target,
  { cache, upstreams }: Pick<RenderInput, "cache" | "upstreams">,
): Notes {
  if (!credentials) return notes;
  const registries = upstreams.filter(({ asks }) => asks).map(({ name }) => name);
  const asked = { registries, cache, title: credentials.by, use: credentials.use };
  return { ...notes, caveats: [...notes.caveats, ...askedCredentialsNotes(asked)] };
}
