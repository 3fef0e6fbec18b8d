/** What pulls, as its user agent says. */
export interface Runtime {
  /** `containerd`, `cri-o`, `docker`, `podman`. */
  readonly name: string;
  readonly version?: string;
}

interface Pattern {
  readonly name: string;
  /** The first group is the version. */
  readonly pattern: RegExp;
}

/**
 * By what they send, in this order: Docker with containerd's image store names both, and tools made with
 * go-containerregistry name themselves before it.
 */
const PATTERNS: readonly Pattern[] = [
  { name: "docker", pattern: /(?:^|\s)docker\/v?(\S+)/i },
  { name: "k3s", pattern: /^(?:containerd|k3s)\/v?(\S+?[-+]k3s\S*)/i },
  { name: "rke2", pattern: /^containerd\/v?(\S+?[-+]rke2\S*)/i },
  { name: "buildkit", pattern: /^buildkit(?:d)?\/v?(\S+)/i },
  { name: "nerdctl", pattern: /^nerdctl\/v?(\S+)/i },
  { name: "containerd", pattern: /^containerd(?:\.io)?\/v?(\S+)/i },
  { name: "cri-o", pattern: /^cri-o\/v?(\S+)/i },
  { name: "podman", pattern: /^(?:podman|libpod)\/v?(\S+)/i },
  { name: "buildah", pattern: /^buildah\/v?(\S+)/i },
  { name: "skopeo", pattern: /(?:^|\s)skopeo\/v?(\S+)/i },
  { name: "bootc", pattern: /^bootc\/v?(\S+)/i },
  { name: "podman", pattern: /^containers\/v?(\S+)/i },
  { name: "cosign", pattern: /^cosign\/v?(\S+)/i },
  { name: "crane", pattern: /^crane\/v?(\S+)/i },
  { name: "kaniko", pattern: /^kaniko\/v?(\S+)/i },
  { name: "trivy", pattern: /^trivy\/v?(\S+)/i },
  { name: "oras", pattern: /^oras(?:-go)?\/v?(\S+)/i },
  { name: "regclient", pattern: /^(?:regclient\/)?(?:regctl|regsync|regclient)\/v?(\S+)/i },
  { name: "helm", pattern: /^helm\/v?(\S+)/i },
  { name: "go-containerregistry", pattern: /^go-containerregistry(?:\/v?(\S+))?/i },
];

/** Longer ones than any that is known are not looked at. */
const MAX_LENGTH = 400;
const MAX_VERSION = 40;

/** The runtime or tool that sent a user agent; undefined if it says nothing of that. */
export function parseUserAgent(text: string): Runtime | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  for (const { name, pattern } of PATTERNS) {
    const match = pattern.exec(text);
    if (!match) continue;
    const version = cleanVersion(match[1] ?? "");
    return { name, ...(version === undefined ? {} : { version }) };
  }
  // Others as they name themselves: `my-tool/1.2`. `Go-http-client` and browsers say nothing.
  const [, name, version = ""] = /^([a-z][a-z0-9._-]{1,30})\/v?([0-9]\S*)/i.exec(text) ?? [];
  if (name === undefined || /^(?:go-http-client|mozilla|entrepot-node)$/i.test(name))
    return undefined;
  const cleaned = cleanVersion(version);
  return { name: name.toLowerCase(), ...(cleaned === undefined ? {} : { version: cleaned }) };
}

/** `containerd 2.1.4` */
export function runtimeText(userAgent: string): string | undefined {
  const runtime = parseUserAgent(userAgent);
  if (!runtime) return undefined;
  return runtime.version === undefined ? runtime.name : `${runtime.name} ${runtime.version}`;
}

/** `1.7.24~ds1`, `5.34.0-dev`, `m`: only what versions consist of. */
function cleanVersion(text: string): string | undefined {
  const [version] = /^[0-9][0-9a-z.+~_-]*/i.exec(text) ?? [];
  return version?.slice(0, MAX_VERSION);
}
