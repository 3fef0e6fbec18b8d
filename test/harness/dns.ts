import { createSocket } from "node:dgram";
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import ipaddr from "ipaddr.js";
import type { TempDir } from "./temp-dir.ts";

const PROGRAM = fileURLToPath(new URL("../../bin/entrepot", import.meta.url));
const [A, AAAA] = [1, 28];

/** A name server, and how to start a program that asks it and no other one. */
export interface TestDns extends AsyncDisposable {
  /** Names that were asked for so far. */
  readonly asked: ReadonlySet<string>;
  /** Answers with these addresses from now on. */
  answer(name: string, ...addresses: readonly string[]): void;
  /** bin/entrepot, for `startEntrepot`. */
  readonly program: readonly string[];
}

/**
 * A real name server on loopback. It needs port 53 and a view of the files of its own, so this is for
 * root alone.
 */
export async function startDns(dir: TempDir): Promise<TestDns> {
  const names = new Map<string, readonly string[]>();
  const asked = new Set<string>();
  const socket = createSocket("udp4");
  socket.on("message", (query, from) => {
    const { name, type, end } = question(query);
    asked.add(name);
    const found = (names.get(name) ?? []).map((text) => ipaddr.parse(text));
    const wanted = found.filter((one) => (one.kind() === "ipv4" ? A : AAAA) === type);
    socket.send(
      reply(query.subarray(0, end), type, wanted, names.has(name)),
      from.port,
      from.address,
    );
  });
  // One of its own, beside those of other tests.
  const address = `127.53.${(process.pid >> 8) & 0xff}.${process.pid & 0xff}`;
  const bound = Promise.withResolvers<void>();
  socket.once("error", bound.reject);
  socket.bind(53, address, bound.resolve);
  await bound.promise;
  const file = dir.file("resolv.conf");
  await writeFile(file, `nameserver ${address}\n`);
  const inside = 'mount --bind "$0" /etc/resolv.conf && exec "$@"';
  return {
    asked,
    answer: (name, ...addresses) => void names.set(name, addresses),
    program: ["unshare", "-m", "sh", "-c", inside, file, PROGRAM],
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

/** The question again, with its answers; NXDOMAIN for names that there are not. */
function reply(
  asked: Buffer,
  type: number,
  addresses: readonly (ipaddr.IPv4 | ipaddr.IPv6)[],
  isKnown: boolean,
): Buffer {
  const head = Buffer.from(asked);
  head.writeUInt16BE(isKnown ? 0x8580 : 0x8583, 2);
  head.writeUInt16BE(addresses.length, 6);
  head.fill(0, 8, 12);
  const records = addresses.map((address) => {
    const bytes = Buffer.from(address.toByteArray());
    // A pointer to the question's name, its type, class IN, no time to live, the address.
    return Buffer.concat([
      Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 0, 0, bytes.length]),
      bytes,
    ]);
  });
  return Buffer.concat([head, ...records]);
}
