import { expect, test } from "bun:test";
import { classify, resolve, type Resolver } from "./address.ts";
import { faultOf } from "../upstreamtest/test-servers.ts";

function policy(resolver: Resolver, allowPrivate = false) {
  return { upstream: "reg.test", allowPrivate, resolver };
}

const none: Resolver = async () => [];

test.each([
  ["1.1.1.1", "public"],
  ["2606:4700:4700::1111", "public"],
  ["127.0.0.1", "inside"],
  ["10.1.2.3", "inside"],
  ["172.16.0.1", "inside"],
  ["192.168.1.1", "inside"],
  ["169.254.169.254", "inside"],
  ["100.64.0.1", "inside"],
  ["192.0.2.1", "inside"],
  ["198.18.0.1", "inside"],
  ["240.0.0.1", "inside"],
  ["0.0.0.0", "never"],
  ["0.1.2.3", "never"],
  ["224.0.0.1", "never"],
  ["255.255.255.255", "never"],
  ["::", "never"],
  ["::1", "inside"],
  ["fe80::1", "inside"],
  ["fe80::1%eth0", "inside"],
  ["fc00::1", "inside"],
  ["fd12::1", "inside"],
  ["fec0::1", "inside"],
  ["ff02::1", "never"],
  ["100::1", "never"],
  ["2001:db8::1", "inside"],
  // IPv4 in other clothes.
  ["::ffff:127.0.0.1", "inside"],
  ["::ffff:7f00:1", "inside"],
  ["::ffff:1.1.1.1", "public"],
  ["::ffff:0.0.0.0", "never"],
  ["::ffff:0:127.0.0.1", "inside"],
  ["::127.0.0.1", "inside"],
  ["::101:101", "inside"],
  ["64:ff9b::10.0.0.1", "inside"],
  ["64:ff9b::1.1.1.1", "public"],
  ["64:ff9b:1::1.1.1.1", "inside"],
  ["2002:7f00:1::", "inside"],
  ["2002:a9fe:a9fe::", "inside"],
  ["2002:101:101::", "public"],
  // Teredo: the server's address, then the client's, inverted.
  ["2001:0:101:101:0:0:fefe:fefe", "public"],
  ["2001:0:101:101:0:0:80ff:fffe", "inside"],
  ["2001:0:a00:1:0:0:fefe:fefe", "inside"],
  // Not assigned to anybody.
  ["4000::1", "inside"],
  ["nonsense", "never"],
])("%s is %s", (address, reach) => {
  expect(classify(address).reach).toBe(reach as "public"); // The table's second column.
});

test("a private address is refused, and dialled where the owner says so", async () => {
  const inside: Resolver = async () => ["10.0.0.7"];
  const fault = await faultOf(resolve("reg.test", policy(inside)));
  expect(fault).toMatchObject({ kind: "address-refused", host: "reg.test" });
  expect(JSON.stringify(fault)).toContain("allowPrivate");
  expect(await resolve("reg.test", policy(inside, true))).toEqual([{ ip: "10.0.0.7", family: 4 }]);
});

test("no answer leads to a link-local address, whatever is allowed", async () => {
  for (const address of [
    "169.254.169.254",
    "[fe80::1]",
    "[::ffff:169.254.1.1]",
    "[2002:a9fe:a9fe::]",
  ]) {
    expect(await resolve(address, policy(none, true))).toHaveLength(1);
    const led = { ...policy(none, true), ledFrom: "10.0.0.6" };
    expect(await faultOf(resolve(address, led))).toMatchObject({
      kind: "address-refused",
      reason: expect.stringMatching(/a link-local address, which is not dialled$/),
    });
  }
  expect(await resolve("10.0.0.7", { ...policy(none, true), ledFrom: "10.0.0.6" })).toHaveLength(1);
});

test("only a registry on this machine leads to this machine", async () => {
  const names: Resolver = async (host) => [host === "inside.test" ? "10.0.0.7" : "127.0.0.1"];
  for (const to of ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "here.test"]) {
    for (const ledFrom of ["10.0.0.7", "inside.test", "[2606:4700::1]"]) {
      const fault = await faultOf(resolve(to, { ...policy(names, true), ledFrom }));
      expect(fault).toMatchObject({
        kind: "address-refused",
        reason: expect.stringMatching(/a loopback address, which is not dialled$/),
      });
    }
    for (const ledFrom of ["127.0.0.2", "[::1]", "localhost"]) {
      expect(await resolve(to, { ...policy(names, true), ledFrom })).toHaveLength(1);
    }
    expect(await resolve(to, policy(names, true))).toHaveLength(1);
  }
});

test("multicast and 0.0.0.0 are refused even where private addresses are allowed", async () => {
  for (const address of ["0.0.0.0", "224.0.0.1", "[::]", "[::ffff:0.0.0.0]"]) {
    const fault = await faultOf(resolve(address, policy(none, true)));
    expect(fault.kind).toBe("address-refused");
  }
});

test("of public and private answers only the public ones are dialled", async () => {
  const both: Resolver = async () => ["127.0.0.1", "1.1.1.1", "::ffff:10.0.0.1", "2606:4700::1"];
  expect(await resolve("reg.test", policy(both))).toEqual([
    { ip: "1.1.1.1", family: 4 },
    { ip: "2606:4700::1", family: 6 },
  ]);
});

test("literal addresses are checked as well, and DNS is not asked", async () => {
  const never: Resolver = () => Promise.reject(new Error("asked"));
  for (const host of ["127.0.0.1", "[::1]", "[::ffff:7f00:1]"]) {
    expect((await faultOf(resolve(host, policy(never)))).kind).toBe("address-refused");
  }
  expect(await resolve("[2606:4700::1]", policy(never))).toEqual([
    { ip: "2606:4700::1", family: 6 },
  ]);
});

test("other spellings of an address are the same address to a URL", async () => {
  for (const host of ["127.1", "0x7f.1", "2130706433", "017700000001"]) {
    const { hostname } = new URL(`http://${host}/`);
    expect((await faultOf(resolve(hostname, policy(none)))).kind).toBe("address-refused");
  }
});

test("a name that DNS does not have, and DNS that fails", async () => {
  const missing: Resolver = () => Promise.reject(Object.assign(new Error(), { code: "ENOTFOUND" }));
  expect(await faultOf(resolve("gone.test", policy(missing)))).toEqual({
    kind: "upstream-unreachable",
    upstream: "reg.test",
    reason: "DNS has no address for gone.test",
  });
  const broken: Resolver = () => Promise.reject(Object.assign(new Error(), { code: "EAI_AGAIN" }));
  expect(JSON.stringify(await faultOf(resolve("gone.test", policy(broken))))).toContain(
    "EAI_AGAIN",
  );
  expect((await faultOf(resolve("gone.test", policy(none)))).kind).toBe("upstream-unreachable");
});
