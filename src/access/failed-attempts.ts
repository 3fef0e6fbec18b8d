import { setTimeout as delay } from "node:timers/promises";
import ipaddr from "ipaddr.js";
import { LRUCache } from "lru-cache";
import { growingTo } from "../process/growing-to.ts";

/** The delay of the answer to the first wrong attempt, which doubles with each further one, in milliseconds. */
const FIRST_MS = 100;
/** Shorter than clients wait. */
const LONGEST_MS = 5000;
/** How long the failures of an address are remembered, in milliseconds. */
const MEMORY_MS = 10 * 60 * 1000;
const MAX_ADDRESSES = 10_000;
/** How many wrong attempts of one address are kept waiting; while so many are, none is looked at. */
const WAITING_PER_ADDRESS = 8;
/** And of all addresses. */
const WAITING = 256;
/** How many of the first bits of an IPv6 address belong to one network. */
const NETWORK_BITS = 64;

/**
 * Delays the answers to wrong tokens and passwords, so that they cannot be guessed: by address, longer each time, and
 * only so many at once. A right one is answered at once.
 */
export class FailedAttempts {
  readonly #failures = new LRUCache<string, number>({
    ...growingTo(MAX_ADDRESSES),
    ttl: MEMORY_MS,
  });
  readonly #waiting = new Map<string, number>();
  readonly #wait: (milliseconds: number) => Promise<unknown>;
  #total = 0;

  /** @param wait replaces the clock in tests */
  constructor(
    wait: (milliseconds: number) => Promise<unknown> = (milliseconds) =>
      delay(milliseconds, undefined, { ref: false }),
  ) {
    this.#wait = wait;
  }

  /** Whether so many attempts of the address are waiting that no further one is looked at. */
  areTooMany(address: string): boolean {
    const own = this.#waiting.get(networkOf(address)) ?? 0;
    return own >= WAITING_PER_ADDRESS || this.#total >= WAITING;
  }

  /**
   * Resolves once the answer to a wrong attempt may be sent. It takes as long if the client is gone: one that
   * does not wait would know as much.
   */
  async failed(address: string): Promise<void> {
    const network = networkOf(address);
    const failures = this.#failures.get(network) ?? 0;
    this.#failures.set(network, failures + 1);
    this.#count(network, 1);
    await this.#wait(Math.min(FIRST_MS * 2 ** failures, LONGEST_MS));
    this.#count(network, -1);
  }

  #count(network: string, change: 1 | -1): void {
    const waiting = (this.#waiting.get(network) ?? 0) + change;
    if (waiting > 0) this.#waiting.set(network, waiting);
    else this.#waiting.delete(network);
    this.#total += change;
  }
}

/** What an address counts as: an IPv6 host has as many of them as it likes. */
export function networkOf(address: string): string {
  if (!ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  if (parsed.kind() === "ipv4") return parsed.toString();
  const bytes = parsed.toByteArray().slice(0, NETWORK_BITS / 8);
  return Buffer.from(bytes).toString("hex");
}
