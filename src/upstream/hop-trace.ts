import type { CircuitBreaker } from "./health/circuit-breaker.ts";
import { circuitFor, type Host } from "./hosts.ts";
import type { RequestKind } from "./observer.ts";

/**
 * Where a request is now: at the host that it was sent to, or at one that it was redirected to. Outcomes
 * belong to that host alone. A registry that redirects to a storage that is down is itself healthy.
 */
export class HopTrace {
  readonly #host: Host;
  readonly #own: CircuitBreaker;
  /** The circuit of the host that is asked now. */
  circuit: CircuitBreaker;
  /** Whether the request was not sent to that host, because its circuit is open. */
  isBlocked = false;

  constructor(host: Host, kind: RequestKind) {
    this.#host = host;
    this.#own = circuitFor(host, kind);
    this.circuit = this.#own;
  }

  /** @throws Fault if the circuit of the host at this URL is open */
  to(url: URL, { isRedirect }: { readonly isRedirect: boolean }): void {
    const { settings, targetCircuits } = this.#host;
    const isOwn = url.origin === settings.url.origin;
    const next = isOwn ? this.#own : targetCircuits.memo(url.origin);
    if (next === this.circuit) return;
    // A redirect, or a signature that was refused, is an answer.
    if (isRedirect) this.circuit.succeeded();
    else this.circuit.abandoned();
    this.circuit = next;
    const fault = isOwn ? undefined : next.admit();
    if (!fault) return;
    this.isBlocked = true;
    throw fault;
  }
}
