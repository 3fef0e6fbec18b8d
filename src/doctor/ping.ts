import type { UpstreamSettings } from "../config/settings.ts";
import { Fault } from "../oci/fault.ts";
import { discard } from "../upstream/transport/response-body.ts";
import type { DialResponse } from "../upstream/transport/dialer.ts";
import type { RegistryTransport } from "../upstream/registry-transport.ts";
import { type Finding, reporter } from "./finding.ts";

/**
 * Sends a GET to a path below an upstream's URL, without fetching a token and without following
 * redirects. Returns the response, with its body discarded, or the reason why there was none.
 */
export async function ping(
  settings: UpstreamSettings,
  transport: RegistryTransport,
  path: string,
): Promise<DialResponse | Fault> {
  const url = new URL(settings.url);
  url.pathname = `${url.pathname.replace(/\/+$/, "")}${path}`;
  const { name, allowPrivate } = settings;
  try {
    const response = await transport.dialer.dial({
      upstream: name,
      allowPrivate,
      kind: "manifest",
      method: "GET",
      url,
      headers: {},
      ca: settings.ca,
      client: settings.client,
      proxy: settings.proxy,
    });
    await discard(response.body);
    return response;
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
}

/** Checks an upstream's mirrors. Pulls skip a failing mirror silently, so only this shows it. */
export function mirrorFindings(
  settings: UpstreamSettings,
  transport: RegistryTransport,
): Promise<Finding[]> {
  const { mirrors = [], client: _, ...rest } = settings;
  return Promise.all(
    mirrors.map(async ({ url, allowPrivate, overridePath, ca = rest.ca }): Promise<Finding> => {
      const report = reporter("mirror", settings.name);
      const mirror = { ...rest, url, allowPrivate, ...(ca === undefined ? {} : { ca }) };
      const response = await ping(mirror, transport, overridePath ? "/" : "/v2/");
      const advice = "pulls skip this mirror: repair it, or remove it from mirrors";
      if (response instanceof Fault) {
        return report("note", `${url.href}: ${response.message}`, advice);
      }
      const { status } = response;
      // The OCI distribution spec defines the status of /v2/ only, not of a path that replaces it.
      const isOk = status === 200 || status === 401 || (overridePath && status < 500);
      return isOk
        ? report("ok", `${url.href}: ${status}`)
        : report("note", `${url.href}: ${status}, but a registry returns 200 or 401`, advice);
    }),
  );
}
