import { expect, test } from "bun:test";
import type { Origin } from "../foreign/imported-config.ts";
import { reachOf } from "./reach.ts";

const from: Origin = { file: "f", line: 1, column: 1, what: "" };
const asSetting = (value: string) => ({ value, from });

interface Given {
  readonly ports?: readonly string[];
  readonly network?: string;
  readonly publishesAll?: true;
  readonly addr?: string;
  readonly net?: string;
}

/** As `host:port`, `host:?` for a port that Docker chooses, or what else is known. */
function reach({ ports = [], network, publishesAll, addr, net }: Given): string | string[] {
  const rejected: string[] = [];
  const settings = new Map(
    Object.entries({ "http.addr": addr, "http.net": net }).flatMap(([key, value]) =>
      value === undefined ? [] : [[key, asSetting(value)] as const],
    ),
  );
  const found = reachOf(
    {
      from,
      ports: ports.map(asSetting),
      network: network === undefined ? undefined : asSetting(network),
      publishesAll: publishesAll && asSetting("-P"),
    },
    settings,
    (_, message) => rejected.push(message),
  );
  if (rejected.length > 0) return rejected;
  if (found.kind === "published")
    return found.addresses.map(({ host, port }) => `${host}:${port ?? "?"}`);
  return found.kind === "host" ? "host" : found.why;
}

const cases: [Given, string | string[]][] = [
  [{ ports: ["5010:5000"] }, ["0.0.0.0:5010"]],
  [{ ports: ["127.0.0.1:5010:5000/tcp"] }, ["127.0.0.1:5010"]],
  [{ ports: ["[::1]:5010:5000"] }, ["::1:5010"]],
  [{ ports: ["10.0.0.5::5000"] }, ["10.0.0.5:?"]],
  [{ ports: ["5000"] }, ["0.0.0.0:?"]],
  [{ ports: ["127.0.0.1:0:5000"] }, ["127.0.0.1:?"]],
  [{ publishesAll: true }, ["0.0.0.0:?"]],
  [{ ports: ["127.0.0.1:5010:5000"], publishesAll: true }, ["127.0.0.1:5010"]],
  [{ ports: ["5010-5012:4999-5001"] }, ["0.0.0.0:5011"]],
  [{ ports: ["5010-5012:5000"] }, ["0.0.0.0:?"]],
  [{ ports: ["127.0.0.1:5010:5000", "10.0.0.5:80:5000"] }, ["127.0.0.1:5010", "10.0.0.5:80"]],
  [{ ports: ["5010:6000"], addr: "0.0.0.0:6000" }, ["0.0.0.0:5010"]],
  [{ ports: ["5010:5000/udp"] }, "no port is mapped to the registry's port, 5000"],
  [{ ports: ["5010:6000"] }, "no port is mapped to the registry's port, 5000"],
  [{}, "no port is published"],
  [{ network: "none" }, "no port is published"],
  [{ network: "host", addr: "127.0.0.1:5001" }, "host"],
  [
    { network: "container:vpn" },
    "it shares the network of something else, whose ports are not known here",
  ],
  [
    { ports: ["5010:5000"], addr: "127.0.0.1:5000" },
    "it listens at the loopback address of its container",
  ],
  [
    { ports: ["5010:5000"], net: "unix", addr: "/run/registry.sock" },
    "it listens at a Unix socket",
  ],
  [{ ports: ["${PORT}:5000"] }, ["takes its value from a variable: write the value out"]],
  [
    { ports: ["5010:5000\nlisten"] },
    ['"5010:5000\\nlisten" is not a port mapping: write HOST_PORT:CONTAINER_PORT'],
  ],
  [
    { ports: ["[fe80::1%eth0]:5010:5000"] },
    ['"[fe80::1%eth0]:5010:5000" is not a port mapping: write HOST_PORT:CONTAINER_PORT'],
  ],
  [
    { ports: ["70000:5000"] },
    ['"70000:5000" is not a port mapping: write HOST_PORT:CONTAINER_PORT'],
  ],
  [{ addr: "here" }, ['"here" is not a valid address: write :5000']],
];

test.each(cases)("the network of %j is understood", (given, expected) => {
  expect(reach(given)).toEqual(expected);
});
