import { expect, test } from "bun:test";
import { formatAddress } from "../../config/parsing/address.ts";
import { planReplicas } from "./plan.ts";

const settings = {
  listen: { host: "0.0.0.0", port: 5000 },
  admin: { host: "127.0.0.1", port: 5001 },
  dataDirectory: "/srv/try",
};
const noFreePort = (): number => {
  throw new Error("every port was given");
};

test("the first replica has the addresses of a single cache, the next ones ten ports further", () => {
  const planned = planReplicas(settings, 3, noFreePort) ?? [];
  expect(
    planned.map(({ listen, admin, cluster, data }) =>
      [listen, admin, cluster].map(formatAddress).concat(data),
    ),
  ).toEqual([
    ["0.0.0.0:5000", "127.0.0.1:5001", "127.0.0.1:5002", "/srv/try/replica-1"],
    ["0.0.0.0:5010", "127.0.0.1:5011", "127.0.0.1:5012", "/srv/try/replica-2"],
    ["0.0.0.0:5020", "127.0.0.1:5021", "127.0.0.1:5022", "/srv/try/replica-3"],
  ]);
});

test("no two replicas have the same port, however the addresses of the first are apart", () => {
  const listen = { host: "127.0.0.1", port: 5011 };
  const planned = planReplicas({ ...settings, listen }, 16, noFreePort) ?? [];
  const ports = planned.flatMap((one) => [one.listen.port, one.admin.port, one.cluster.port]);
  expect(new Set(ports).size).toBe(48);
});

test("each cluster of a machine has ports of its own for its replicas", () => {
  const at = (listen: number, admin: number): number[] => {
    const addresses = { listen: { ...any, port: listen }, admin: { ...any, port: admin } };
    const planned = planReplicas({ ...settings, ...addresses }, 2, noFreePort) ?? [];
    return planned.map(({ cluster }) => cluster.port);
  };
  const any = { host: "127.0.0.1", port: 0 };
  expect(at(6000, 6001)).toEqual([6002, 6012]);
  expect(at(6000, 6002)).toEqual([6003, 6013]);
});

test("port 0 is a free one of each replica", () => {
  let next = 40_000;
  const any = { host: "127.0.0.1", port: 0 };
  const cluster = { listen: any };
  const planned =
    planReplicas({ ...settings, listen: any, admin: any, cluster }, 2, () => next++) ?? [];
  const ports = planned.flatMap((one) => [one.listen.port, one.admin.port, one.cluster.port]);
  expect(new Set(ports)).toEqual(new Set([40_000, 40_001, 40_002, 40_003, 40_004, 40_005]));
});

test("ports that do not exist are not planned", () => {
  const listen = { host: "0.0.0.0", port: 65_530 };
  expect(planReplicas({ ...settings, listen }, 3, noFreePort)).toBeUndefined();
});
