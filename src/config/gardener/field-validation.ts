import { quote } from "../parsing/problems.ts";

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** What Gardener has against an `upstream`; undefined where it is one. */
export function upstreamProblem(text: string): string | undefined {
  if (text === "_default") {
    return "_default is a folder of containerd's, for registries without one, and no upstream here: name each registry";
  }
  if (/^[a-z]+:\/\//i.test(text)) {
    return `${quote(text)} has a scheme: write the host alone, and the address under remoteURL`;
  }
  const [host = "", port, ...rest] = text.split(":");
  const isPort =
    port === undefined || (/^\d{1,5}$/.test(port) && Number(port) <= 65_535 && Number(port) > 0);
  const isHost = host.length <= 253 && host.split(".").every((label) => LABEL.test(label));
  if (isHost && isPort && rest.length === 0) return undefined;
  return `${quote(text)} is no upstream: a lower-case host name with an optional port, such as quay.io or registry.test:5000`;
}

/** What Gardener has against a `remoteURL` or, with a path allowed, against a mirror's host. */
export function addressProblem(text: string, mayHavePath: boolean): string | undefined {
  const url = URL.parse(text);
  if (!url || !/^https?:\/\//i.test(text))
    return `${quote(text)} is no address: write https://host or http://host`;
  if (url.username || url.password)
    return "has a user in it: credentials come from secretReferenceName";
  if (url.search || url.hash || text.includes("?") || text.includes("#"))
    return `${quote(text)} has a query or a fragment`;
  if (!mayHavePath && url.pathname !== "/")
    return `${quote(text)} has a path, which Gardener does not allow here`;
  return undefined;
}

/** What Gardener has against a `serviceNameSuffix`. */
export function suffixProblem(text: string): string | undefined {
  if (LABEL.test(text) && text.length <= 54) return undefined;
  return `${quote(text)} is no suffix of a Service: lower-case letters, digits and dashes, at most 54 of them`;
}
