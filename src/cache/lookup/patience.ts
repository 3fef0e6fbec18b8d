import type { UpstreamName } from "../../oci/names.ts";
import type { Upstream } from "../upstream.ts";
import { withTimeout } from "../with-timeout.ts";

/** How long a client waits for a question to an upstream before stored content is served, in milliseconds. */
export const PATIENCE_MS = 1000;

/** How long clients wait for an upstream where stored content can be served instead. */
export class Patience {
  /** By upstream, how many questions took too long and are still running. */
  readonly #overdue = new Map<UpstreamName, number>();

  /** Whether not to wait at all: the upstream failed or was slow the last time. */
  isOver({ settings, registry }: Upstream): boolean {
    return registry.fault !== undefined || this.#overdue.has(settings.name);
  }

  /** Waits for a question's result. `undefined` if that takes too long; the question goes on. */
  async wait<Value>({ settings }: Upstream, question: Promise<Value>): Promise<Value | undefined> {
    const result = await withTimeout(PATIENCE_MS, question);
    if (result === undefined) this.#countOverdue(settings.name, question);
    return result;
  }

  /** Counts a question until it is answered: later pulls do not wait meanwhile. */
  #countOverdue(name: UpstreamName, question: Promise<unknown>): void {
    this.#overdue.set(name, (this.#overdue.get(name) ?? 0) + 1);
    const settled = (): void => {
      const count = (this.#overdue.get(name) ?? 1) - 1;
      if (count > 0) this.#overdue.set(name, count);
      else this.#overdue.delete(name);
    };
    question.then(settled, settled);
  }
}
