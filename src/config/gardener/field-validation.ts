import { hasParentSegment } from "../parsing/address.ts";
import { quote } from "../parsing/problems.ts";

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** Why Gardener rejects an `upstream`; undefined if it is valid. */
export function upstreamProblem(text: string): string | undefined {
  if (text === "_default") {
    return "_default is containerd's directory for all other registries, which is not supported here: list each registry";
  }
  if (/^[a-z]+:\/\//i.test(text)) {
    return `${quote(text)} has a scheme: write only the host, and the URL as remoteURL`;
  }
  const [host = "", port, ...rest] = text.split(":");
  const isPort =
    port === undefined || (/^\d{1,5}$/.test(port) && Number(port) <= 65_535 && Number(port) > 0);
  const isHost = host.length <= 253 && host.split(".").every((label) => LABEL.test(label));
  if (isHost && isPort && rest.length === 0) return undefined;
  return `${quote(text)} is not a valid upstream: write a lower-case host name with an optional port, such as quay.io or registry.test:5000`;
}

/**
 * Why Gardener rejects a `remoteURL` or the host of a mirror, which may have a path; undefined if
 * it is valid.
 */
export function urlProblem(text: string, mayHavePath: boolean): string | undefined {
  const url = URL.parse(text);
  if (!url || !/^https?:\/\//i.test(text))
    return `${quote(text)} is not a valid URL: write https://host or http://host`;
  if (url.username || url.password) return "contains credentials: use secretReferenceName";
  if (url.search || url.hash || text.includes("?") || text.includes("#"))
    return `${quote(text)} has a query or a fragment`;
  if (hasParentSegment(text))
    return `${quote(text)} has .. in its path, which Gardener does not allow: write the path that is meant`;
  if (!mayHavePath && url.pathname !== "/")
    return `${quote(text)} has a path, which Gardener does not allow here`;
  return undefined;
}

/** Why Gardener rejects a `serviceNameSuffix`; undefined if it is valid. */
export function suffixProblem(text: string): string | undefined {
  if (LABEL.test(text) && text.length <= 54) return undefined;
  return `${quote(text)} is not a valid Service name suffix: use at most 54 lower-case letters, digits and dashes`;
}
