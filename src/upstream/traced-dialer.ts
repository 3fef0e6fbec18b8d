import type { Span } from "../telemetry/tracing/span.ts";
import type { Tracer } from "../telemetry/tracing/tracer.ts";
import { describeRequest, describeResponse } from "../telemetry/tracing/request-span.ts";
import {
  Dialer,
  type DialerOptions,
  type DialRequest,
  type DialResponse,
} from "./transport/dialer.ts";

/**
 * Makes each request to an upstream, a mirror, a token endpoint or a storage a span of the trace that it belongs to.
 * These get no `traceparent`: it is nothing to them, and they are strangers.
 */
export class TracedDialer extends Dialer {
  readonly #tracer: Tracer;

  constructor(options: DialerOptions, tracer: Tracer) {
    super(options);
    this.#tracer = tracer;
  }

  override async dial(request: DialRequest): Promise<DialResponse> {
    const span = this.#tracer.current?.child(request.method, "client");
    if (!span) return super.dial(request);
    describeRequest(span, request);
    span.set({ "entrepot.upstream": request.upstream, "entrepot.request": request.kind });
    try {
      const response = await super.dial(request);
      describeResponse(span, response.status);
      void endWith(span, response);
      return response;
    } catch (error) {
      span.fail(error instanceof Error ? error.message : String(error));
      span.end();
      throw error;
    }
  }
}

async function endWith(span: Span, { ended }: DialResponse): Promise<void> {
  const { bytes, fault } = await ended;
  span.set({ "http.response.body.size": bytes });
  if (fault) span.fail(fault instanceof Error ? fault.message : String(fault));
  span.end();
}
