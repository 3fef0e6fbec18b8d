import { connect } from "node:net";
import type { CheckedAddress } from "./address.ts";

/** The delay between two connection attempts, in milliseconds (RFC 8305 section 5). */
const ATTEMPT_DELAY = 250;

/**
 * Sorts addresses so that the one that accepts a connection first comes first, with the families
 * interleaved (Happy Eyeballs, RFC 8305). `fetch` has no connect timeout: on a network that drops IPv6 it
 * would spend the request's whole timeout before it tried IPv4.
 *
 * The connection is only a probe and is closed. Where no address accepts one, the order stays, and the
 * request itself reports why.
 */
export async function fastestFirst(
  addresses: readonly CheckedAddress[],
  port: number,
  signal: AbortSignal,
): Promise<readonly CheckedAddress[]> {
  const order = interleave(addresses);
  const first = await race(order, port, signal);
  return first ? [first, ...order.filter((address) => address !== first)] : order;
}

function interleave(addresses: readonly CheckedAddress[]): CheckedAddress[] {
  const leading = addresses[0]?.family;
  const [same, other] = [
    addresses.filter(({ family }) => family === leading),
    addresses.filter(({ family }) => family !== leading),
  ];
  return same
    .flatMap((address, index) => [address, other[index] ?? []].flat())
    .concat(other.slice(same.length));
}

function race(
  order: readonly CheckedAddress[],
  port: number,
  signal: AbortSignal,
): Promise<CheckedAddress | undefined> {
  const { promise, resolve } = Promise.withResolvers<CheckedAddress | undefined>();
  const cleanups: (() => void)[] = [];
  const untried = [...order];
  let pending = 0;
  const tryNext = (): void => {
    const address = untried.shift();
    if (!address) {
      if (pending === 0) resolve(undefined);
      return;
    }
    pending += 1;
    const socket = connect({ host: address.ip, port });
    const timer = setTimeout(tryNext, ATTEMPT_DELAY);
    cleanups.push(() => {
      clearTimeout(timer);
      socket.destroy();
    });
    socket.once("connect", () => resolve(address));
    socket.once("error", () => {
      clearTimeout(timer);
      pending -= 1;
      tryNext();
    });
  };
  const onAbort = (): void => resolve(undefined);
  signal.addEventListener("abort", onAbort, { once: true });
  tryNext();
  return promise.finally(() => {
    signal.removeEventListener("abort", onAbort);
    untried.length = 0;
    for (const cleanUp of cleanups) cleanUp();
  });
}
