import { type AccessMode, type AccessSettings, hasMode } from "../config/access/access-settings.ts";
import { isLoopbackHost } from "../config/parsing/host-overlap.ts";
import { addressOf, type Settings, type UpstreamSettings } from "../config/settings.ts";

/**
 * What the credentials of an upstream are sent for. `public`: for what its registry shows to anybody. `others`,
 * `others-and-public`: some repositories are private, and these are for the others.
 */
export type CredentialsFor = "nothing" | "public" | "all" | "others" | "others-and-public";

/** Who may pull from an upstream, in short. */
export interface UpstreamAccess {
  readonly mode: AccessMode | "mixed";
  /** How many entries say so; 0 where nothing is written. */
  readonly entries: number;
  /** Absent without credentials. */
  readonly credentialsFor?: CredentialsFor;
}

export function upstreamAccess({ access, credentials }: UpstreamSettings): UpstreamAccess {
  const modes = modesOf(access);
  const [mode = "open", ...others] = modes;
  return {
    mode: others.length > 0 ? "mixed" : mode,
    entries: access?.entries.length ?? 0,
    ...(credentials ? { credentialsFor: credentialsFor(modes, access) } : {}),
  };
}

/** Where private images are open to the network, or credentials of clients cross it: what each means, and what to do. */
export function accessWarnings(settings: Pick<Settings, "upstreams" | "listen" | "tls">): string[] {
  return [...settings.upstreams.values()].flatMap((upstream) =>
    [openWarning(upstream, settings), plainWarning(upstream, settings)].flat(),
  );
}

/** Whether whoever reaches this cache may pull what only the upstream's own credentials can see. */
export function isOpenToNetwork(
  upstream: UpstreamSettings,
  settings: Pick<Settings, "listen">,
): boolean {
  const { access, credentials } = upstream;
  if (!credentials || !modesOf(access).includes("open")) return false;
  return !isLoopbackHost((addressOf(upstream, settings) ?? settings.listen).host);
}

/** Whether the owner has written that all that is open shall be. */
export function isOpenOnPurpose({ access }: UpstreamSettings): boolean {
  return hasMode(access, "open") && access?.entries.at(-1)?.repositories === undefined;
}

const OPEN_ADVICE =
  "Set `access: upstream`, so that clients show their own credentials, or `access: clients`, or `allow` what everybody may have; `access: open` says that it is meant";

function openWarning(upstream: UpstreamSettings, settings: Pick<Settings, "listen">): string[] {
  if (!isOpenToNetwork(upstream, settings) || isOpenOnPurpose(upstream)) return [];
  const { host, port } = addressOf(upstream, settings) ?? settings.listen;
  const what =
    upstream.access === undefined
      ? "private images that its credentials can see"
      : "private images that its credentials can see, and no entry of its `access` names,";
  return [`${upstream.name}: ${what} are open to whoever reaches ${host}:${port}. ${OPEN_ADVICE}`];
}

function plainWarning(
  upstream: UpstreamSettings,
  settings: Pick<Settings, "listen" | "tls">,
): string[] {
  if (settings.tls || !hasMode(upstream.access, "upstream", "clients")) return [];
  const { host, port } = addressOf(upstream, settings) ?? settings.listen;
  if (isLoopbackHost(host)) return [];
  return [
    `${upstream.name}: clients send their credentials to ${host}:${port} without TLS, by \`plainCredentials: true\`: whoever reads the network can use them, unless something else encrypts it. Set \`tls\``,
  ];
}

/** Those that repositories have: `open` too, unless an entry is about all. */
function modesOf(access: AccessSettings | undefined): AccessMode[] {
  const entries = access?.entries ?? [];
  const isDecided = entries.some(({ repositories }) => repositories === undefined);
  const modes = entries.map(({ mode }) => mode);
  return [...new Set<AccessMode>([...modes, ...(isDecided ? [] : (["open"] as const))])];
}

function credentialsFor(
  modes: readonly AccessMode[],
  access: AccessSettings | undefined,
): CredentialsFor {
  const isPublicToo = access?.usesAuthForPublic ?? false;
  const others = modes.some((mode) => mode === "open" || mode === "clients");
  if (!modes.includes("upstream")) return others ? "all" : "nothing";
  if (others) return isPublicToo ? "others-and-public" : "others";
  return isPublicToo ? "public" : "nothing";
}
