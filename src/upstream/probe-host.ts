import type { UpstreamSettings } from "../config/settings.ts";
import type { RegistryTransport } from "./registry-transport.ts";
import { discard } from "./transport/response-body.ts";

/** How long a probe waits for response headers, in milliseconds. */
const PROBE_TIMEOUT = 5000;

/**
 * Sends one GET to a registry's `/v2/` or to a host that it redirected to: without credentials or token,
 * since any answer shows that the host answers (distribution-spec v1.1.1, "Determining Support").
 *
 * @returns the response's status
 * @throws Fault if nothing answers; the reason of a timeout
 */
export async function probeHost(
  { dialer }: RegistryTransport,
  settings: UpstreamSettings,
  url: URL,
): Promise<number> {
  const isOwnOrigin = url.origin === settings.url.origin;
  const { status, body } = await dialer.dial({
    upstream: settings.name,
    allowPrivate: settings.allowPrivate,
    redirectedFrom: isOwnOrigin ? undefined : settings.url.hostname,
    kind: "probe",
    method: "GET",
    url,
    headers: {},
    signal: AbortSignal.timeout(PROBE_TIMEOUT),
    ca: settings.ca,
    client: isOwnOrigin ? settings.client : undefined,
    proxy: settings.proxy,
  });
  await discard(body);
  return status;
}
