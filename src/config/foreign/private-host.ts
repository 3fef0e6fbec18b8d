import ipaddr from "ipaddr.js";

/**
 * Whether a host is obviously in a private network: by its address, or by a name such as `cache.lan`.
 * The formats that are imported allow such hosts implicitly; entrepot.yaml requires `allowPrivate`.
 *
 * @param hostname a URL's `hostname`: a name, an IPv4 address, or an IPv6 address in brackets
 */
export function isPrivateHost(hostname: string): boolean {
  if (/^localhost$|\.(?:localhost|local|internal|lan|home\.arpa)$/.test(hostname)) return true;
  const host = hostname.replaceAll(/[[\]]/g, "");
  if (!ipaddr.isValid(host)) return !hostname.includes(".");
  return ipaddr.process(host).range() !== "unicast";
}
