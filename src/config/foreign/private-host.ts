import ipaddr from "ipaddr.js";

/**
 * Whether a host is plainly in somebody's own network. Elsewhere, whoever wrote its address meant
 * it to be dialled; here that has to be said by `allowPrivate`.
 */
export function isInside(hostname: string): boolean {
  if (/^localhost$|\.(?:localhost|local|internal|lan|home\.arpa)$/.test(hostname)) return true;
  const host = hostname.replaceAll(/[[\]]/g, "");
  if (!ipaddr.isValid(host)) return !hostname.includes(".");
  return ipaddr.process(host).range() !== "unicast";
}
