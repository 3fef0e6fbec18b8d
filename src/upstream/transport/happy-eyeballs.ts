import { connect } from "node:net";
import type { CheckedAddress } from "./address.ts";

/** Between one attempt and the next, in milliseconds (RFC 8305 section 5). */
const ATTEMPT_DELAY = 250;

/**
 * Puts the address first that takes a connection first, families in turn (RFC 8305). `fetch` has no
 * connect deadline: on a network that drops IPv6 it would wait out the request's whole deadline
 * before IPv4 had its turn.
 *
 * The connection is only a probe and is closed. Where nothing connects, the order stays, and the
 * request itself finds out why.
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
    .flatMap((address, at) => [address, other[at] ?? []].flat())
    .concat(other.slice(same.length));
}

function race(
  order: readonly CheckedAddress[],
  port: number,
  signal: AbortSignal,
): Promise<CheckedAddress | undefined> {
  const { promise, resolve } = Promise.withResolvers<CheckedAddress | undefined>();
  const ends: (() => void)[] = [];
  const waiting = [...order];
  let pending = 0;
  const next = (): void => {
    const address = waiting.shift();
    if (!address) {
      if (pending === 0) resolve(undefined);
      return;
    }
    pending += 1;
    const socket = connect({ host: address.ip, port });
    const timer = setTimeout(next, ATTEMPT_DELAY);
    ends.push(() => {
      clearTimeout(timer);
      socket.destroy();
    });
    socket.once("connect", () => resolve(address));
    socket.once("error", () => {
      clearTimeout(timer);
      pending -= 1;
      next();
    });
  };
  const abandon = (): void => resolve(undefined);
  signal.addEventListener("abort", abandon, { once: true });
  next();
  return promise.finally(() => {
    signal.removeEventListener("abort", abandon);
    waiting.length = 0;
    for (const end of ends) end();
  });
}
