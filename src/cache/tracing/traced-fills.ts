import type { BlobStore } from "../../store/blob-store.ts";
import type { Span } from "../../telemetry/tracing/span.ts";
import type { Tracer } from "../../telemetry/tracing/tracer.ts";
import { toFault } from "../fetch/transient.ts";
import type { Fill } from "../fill/fill.ts";
import type { FillsOptions } from "../fill/fill-options.ts";
import { type FillObserver, Fills } from "../fill/fills.ts";

/**
 * Makes each fill a span. It belongs to no client, so it is a part of the trace of the pull that began it, and may
 * outlast that; the spans of those that join it link to it.
 */
export class TracedFills extends Fills {
  readonly #tracer: Tracer;
  readonly #spans = new WeakMap<Fill, Span>();

  constructor(
    tracer: Tracer,
    ...[store, observer, options]: [BlobStore, FillObserver, FillsOptions?]
  ) {
    super(store, observer, options);
    this.#tracer = tracer;
  }

  override startOrJoin(...request: Parameters<Fills["startOrJoin"]>): Fill {
    const { current } = this.#tracer;
    const fill = super.startOrJoin(...request);
    const span = this.#spans.get(fill);
    if (current && span && span.parentId !== current.context.spanId) current.link(span.context);
    return fill;
  }

  override start(...request: Parameters<Fills["start"]>): Fill {
    const span = this.#tracer.current?.child("fill");
    if (!span) return super.start(...request);
    const fill = this.#tracer.within(span, () => super.start(...request));
    this.#spans.set(fill, span);
    void this.#follow(fill, span);
    return fill;
  }

  async #follow(fill: Fill, span: Span): Promise<void> {
    span.set({
      "entrepot.digest": fill.digest,
      "entrepot.upstream": fill.upstream,
      "entrepot.source": fill.sources.sources[0]?.name,
    });
    try {
      const { size } = await fill.stored;
      span.set({ "entrepot.size": size, "entrepot.resumed_bytes": fill.resumedBytes });
    } catch (error) {
      span.fail(toFault(error).message);
    }
    span.end();
  }
}
