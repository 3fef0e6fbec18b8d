import type { UpstreamSettings } from "../config/settings.ts";
import { Fault } from "../oci/fault.ts";
import { discard } from "../upstream/transport/response-body.ts";
import type { DialResponse } from "../upstream/transport/dialer.ts";
import type { RegistryTransport } from "../upstream/registry-transport.ts";
import { about, type Finding } from "./finding.ts";

/** What is answered below an address, without tokens and redirects; or why nothing is. */
export async function pinged(
  settings: UpstreamSettings,
  transport: RegistryTransport,
  below: string,
): Promise<DialResponse | Fault> {
  const url = new URL(settings.url);
  url.pathname = `${url.pathname.replace(/\/+$/, "")}${below}`;
  const { name, allowPrivate } = settings;
  try {
    const answer = await transport.dialer.dial({
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
    await discard(answer.body);
    return answer;
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
}

/** A mirror that fails is passed over without a word to anybody: here it is told. */
export function mirrorFindings(
  settings: UpstreamSettings,
  transport: RegistryTransport,
): Promise<Finding[]> {
  const { mirrors = [], client: _, ...rest } = settings;
  return Promise.all(
    mirrors.map(async ({ url, allowPrivate, overridePath, ca = rest.ca }): Promise<Finding> => {
      const report = about("mirror", settings.name);
      const seen = { ...rest, url, allowPrivate, ...(ca === undefined ? {} : { ca }) };
      const answer = await pinged(seen, transport, overridePath ? "/" : "/v2/");
      const aside = "pulls pass it over: mend it, or take it out of mirrors";
      if (answer instanceof Fault) {
        return report("note", `${url.href}: ${answer.message}`, aside);
      }
      const { status } = answer;
      // What a registry answers at a path of its own making is not laid down anywhere.
      const isFine = status === 200 || status === 401 || (overridePath && status < 500);
      return isFine
        ? report("ok", `${url.href}: ${status}`)
        : report("note", `${url.href}: ${status}, where a registry answers 200 or 401`, aside);
    }),
  );
}
