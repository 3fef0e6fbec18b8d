import type { Span } from "./span.ts";

/** A request that is sent. Its query is left out: a storage's signature may be in it. */
export function describeRequest(
  span: Span,
  { method, url }: { readonly method: string; readonly url: URL },
): void {
  span.set({
    "http.request.method": method,
    "url.full": `${url.origin}${url.pathname}`,
    "server.address": url.hostname,
    "server.port": Number(url.port) || (url.protocol === "https:" ? 443 : 80),
  });
}

/** By the semantic conventions of OpenTelemetry, 4xx is an error to whoever sent the request. */
export function describeResponse(span: Span, status: number): void {
  span.set({ "http.response.status_code": status });
  if (status >= 400) span.fail(String(status));
}
