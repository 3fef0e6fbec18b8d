import { connect } from "node:net";
import type { Fault } from "../../oci/fault.ts";
import type { CheckedAddress } from "./address.ts";

/** The delay between two connection attempts, in milliseconds (RFC 8305 section 5). */
const ATTEMPT_DELAY = 250;
/** The part of the connect timeout after which a request without a response has its address probed. */
const PROBE_AFTER = 1 / 5;

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

/**
 * Sends a request to the only address of a host. A probe beforehand could choose nothing, and would cost a
 * round trip; but a request alone does not tell whether it has been connected. So the address is probed
 * beside a request that is not answered soon, and the request ends if there is no connection in time either.
 *
 * @param send what it is given aborts the request
 * @param timeout for a connection, in milliseconds, with the fault of a host that accepts none
 * @throws the fault after the timeout; else what `send` throws
 */
export async function sendToOnly<Response>(
  address: CheckedAddress,
  port: number,
  { connect: timeout, fault }: { readonly connect: number; readonly fault: () => Fault },
  send: (abandoned: AbortSignal) => Promise<Response>,
): Promise<Response> {
  const [abandoned, settled] = [new AbortController(), new AbortController()];
  const delay = timeout * PROBE_AFTER;
  const probe = async (): Promise<void> => {
    const timedOut = AbortSignal.timeout(timeout - delay);
    await race([address], port, AbortSignal.any([timedOut, settled.signal]));
    if (timedOut.aborted && !settled.signal.aborted) abandoned.abort(fault());
  };
  const timer = setTimeout(() => void probe(), delay);
  try {
    return await send(abandoned.signal);
  } catch (error) {
    throw abandoned.signal.aborted ? abandoned.signal.reason : error;
  } finally {
    clearTimeout(timer);
    settled.abort();
  }
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
