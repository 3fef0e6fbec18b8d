import { isLoopbackHost } from "../parsing/host-overlap.ts";

/**
 * Which credentials a client gives to a mirror that asks for them. `pull-secret`: the pod's, where CRI
 * gets them without an address, as from the kubelet. `none`: none at all. The others give what is stored
 * for the mirror's own address, with a login there: `login` for every pull; `login-or-registry` too, and
 * without one they pull from the registry with its own; `docker` where images are named by the mirror.
 */
export type CredentialUse = "pull-secret" | "none" | "login" | "login-or-registry" | "docker";

export interface AskedCredentials {
  /** The registries for which the cache asks for credentials. */
  readonly registries: readonly string[];
  /** Where clients reach the cache. */
  readonly cache: URL;
  /** The client, as messages name it. */
  readonly title: string;
  readonly use: CredentialUse;
}

/** What a client does about a cache that asks for credentials, and what is to be said of it. */
export function askedCredentialsNotes(asked: AskedCredentials): string[] {
  const { registries, cache, title } = asked;
  if (registries.length === 0) return [];
  const what = `The cache asks for credentials for ${registries.join(", ")}: ${title} ${behaviour(asked)}.`;
  if (asked.use === "none" || !crossesNetworkPlainly(cache)) return [what];
  return [
    what,
    `WARNING: these credentials cross the network in plain text, since the cache is at ${cache.origin}: give it a certificate (tls in entrepot.yaml), and use its https:// address.`,
  ];
}

function behaviour({ use, cache }: AskedCredentials): string {
  const login = `after a login at ${cache.host}`;
  switch (use) {
    case "pull-secret":
      return "gives it the imagePullSecret of the pod, and pulls from the registry itself if there is none or it is refused";
    case "none":
      return "keeps the imagePullSecret of the pod from mirrors, and pulls private images from the registry itself";
    case "login":
      return `gives it the credentials that are stored for ${cache.host}, ${login}`;
    case "login-or-registry":
      return `keeps the registry's credentials from mirrors, and pulls private images from the registry itself, or through the cache ${login}`;
    case "docker":
      return `pulls private images through it by its own name (${cache.host}/REGISTRY/IMAGE), ${login}; as a mirror, it is given the login at Docker Hub by the classic image store alone`;
  }
}

/** Whether whoever listens on the way to the cache reads what is sent to it. */
export function crossesNetworkPlainly({ protocol, hostname }: URL): boolean {
  return protocol === "http:" && !isLoopbackHost(hostname.replace(/^\[|\]$/g, ""));
}
