import { createSocket } from "node:dgram";
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import ipaddr from "ipaddr.js";
import type { TempDir } from "../temp-dir.ts";

const PROGRAM = fileURLToPath(new URL("../../../bin/entrepot", import.meta.url));
const [A, AAAA] = [1, 28];

/** A DNS server, and a command that runs the cache with this server as its only resolver. */
export interface TestDns extends AsyncDisposable {
  /** Every name queried so far. */
  readonly queriedNames: ReadonlySet<string>;
  /** Sets the A and AAAA records of a name. */
  answer(name: string, ...addresses: readonly string[]): void;
  /** bin/entrepot with this resolver, for `startEntrepot`. */
  readonly program: readonly string[];
}

/**
 * Starts a real DNS server on loopback. It needs port 53, and a mount namespace with its own
 * /etc/resolv.conf, so it works only as root.
 */
export async function startDns(dir: TempDir): Promise<TestDns> {
  const records = new Map<string, readonly string[]>();
  const queriedNames = new Set<string>();
  const socket = createSocket("udp4");
  socket.on("message", (query, client) => {
    const { name, type, end } = question(query);
    queriedNames.add(name);
    const addresses = (records.get(name) ?? []).map((text) => ipaddr.parse(text));
    const matching = addresses.filter((one) => (one.kind() === "ipv4" ? A : AAAA) === type);
    socket.send(
      reply(query.subarray(0, end), type, matching, records.has(name)),
      client.port,
      client.address,
    );
  });
  // An address of its own, so that tests can run in parallel.
  const address = `127.53.${(process.pid >> 8) & 0xff}.${process.pid & 0xff}`;
  const bound = Promise.withResolvers<void>();
  socket.once("error", bound.reject);
  socket.bind(53, address, bound.resolve);
  await bound.promise;
  const file = dir.file("resolv.conf");
  await writeFile(file, `nameserver ${address}\n`);
  const mountAndExec = 'mount --bind "$0" /etc/resolv.conf && exec "$@"';
  return {
    queriedNames,
    answer: (name, ...addresses) => void records.set(name, addresses),
    program: ["unshare", "-m", "sh", "-c", mountAndExec, file, PROGRAM],
    async [Symbol.asyncDispose]() {
      const closed = Promise.withResolvers<void>();
      socket.close(() => closed.resolve());
      await closed.promise;
    },
  };
}

/** RFC 1035 section 4.1.2. */
function question(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join("."), type: query.readUInt16BE(at + 1), end: at + 5 };
}

/** The question section followed by the answers; NXDOMAIN for unknown names. */
function reply(
  query: Buffer,
  type: number,
  addresses: readonly (ipaddr.IPv4 | ipaddr.IPv6)[],
  isKnown: boolean,
): Buffer {
  const head = Buffer.from(query);
  head.writeUInt16BE(isKnown ? 0x8580 : 0x8583, 2);
  head.writeUInt16BE(addresses.length, 6);
  head.fill(0, 8, 12);
  const records = addresses.map((address) => {
    const bytes = Buffer.from(address.toByteArray());
    // A pointer to the question's name, the type, class IN, TTL 0, the address.
    return Buffer.concat([
      Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 0, 0, bytes.length]),
      bytes,
    ]);
  });
  return Buffer.concat([head, ...records]);
}
