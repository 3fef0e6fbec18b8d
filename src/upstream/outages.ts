import { Fault } from "../oci/fault.ts";

/** A request in progress. */
export interface OpenRequest {
  /** Aborts it. */
  readonly controller: AbortController;
  /** To be called when it, and its response, has ended. */
  readonly close: () => void;
}

/**
 * Upstreams that count as dead, in this process alone: a drill for the day on which one is. Every request to one,
 * to its mirrors, token endpoints and storage included, fails as if nothing answered, and what is being received
 * from it breaks off.
 */
export class Outages {
  readonly #reasons = new Map<string, string>();
  /** What is in progress, by upstream. */
  readonly #requests = new Map<string, Set<AbortController>>();

  /** @param reason completes `<upstream> cannot be reached: …` */
  begin(upstream: string, reason: string): void {
    this.#reasons.set(upstream, reason);
    const fault = this.#fault(upstream);
    for (const request of this.#requests.get(upstream) ?? []) request.abort(fault);
  }

  end(upstream: string): void {
    this.#reasons.delete(upstream);
  }

  /**
   * A request begins: it is aborted at once if its upstream counts as dead, or as soon as it does, and when the
   * caller's signal is.
   */
  open(upstream: string, signal: AbortSignal | undefined): OpenRequest {
    const controller = new AbortController();
    const onAbort = (): void => controller.abort(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    const requests = this.#requests.get(upstream) ?? new Set();
    this.#requests.set(upstream, requests);
    requests.add(controller);
    const fault = this.#fault(upstream);
    if (fault) controller.abort(fault);
    const close = (): void => {
      signal?.removeEventListener("abort", onAbort);
      requests.delete(controller);
    };
    return { controller, close };
  }

  #fault(upstream: string): Fault | undefined {
    const reason = this.#reasons.get(upstream);
    return reason === undefined
      ? undefined
      : new Fault({ kind: "upstream-unreachable", upstream, reason });
  }
}
