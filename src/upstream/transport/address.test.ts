import { describe, expect, test } from "bun:test";
import { classify, resolve, type Resolver } from "./address.ts";
import { faultOf } from "../upstreamtest/test-servers.ts";

function policy(resolver: Resolver, allowPrivate = false) {
  return { upstream: "reg.test", allowPrivate, resolver };
}

const noAddresses: Resolver = async () => [];

describe("classify", () => {
  test.each([
    ["1.1.1.1", "public"],
    ["2606:4700:4700::1111", "public"],
    ["127.0.0.1", "private"],
    ["10.1.2.3", "private"],
    ["172.16.0.1", "private"],
    ["192.168.1.1", "private"],
    ["169.254.169.254", "private"],
    ["100.64.0.1", "private"],
    ["192.0.2.1", "private"],
    ["198.18.0.1", "private"],
    ["240.0.0.1", "private"],
    ["0.0.0.0", "never"],
    ["0.1.2.3", "never"],
    ["224.0.0.1", "never"],
    ["255.255.255.255", "never"],
    ["::", "never"],
    ["::1", "private"],
    ["fe80::1", "private"],
    ["fe80::1%eth0", "private"],
    ["fc00::1", "private"],
    ["fd12::1", "private"],
    ["fec0::1", "private"],
    ["ff02::1", "never"],
    ["100::1", "never"],
    ["2001:db8::1", "private"],
    // IPv6 addresses that embed an IPv4 address.
    ["::ffff:127.0.0.1", "private"],
    ["::ffff:7f00:1", "private"],
    ["::ffff:1.1.1.1", "public"],
    ["::ffff:0.0.0.0", "never"],
    ["::ffff:0:127.0.0.1", "private"],
    ["::127.0.0.1", "private"],
    ["::101:101", "private"],
    ["64:ff9b::10.0.0.1", "private"],
    ["64:ff9b::1.1.1.1", "public"],
    ["64:ff9b:1::1.1.1.1", "private"],
    ["2002:7f00:1::", "private"],
    ["2002:a9fe:a9fe::", "private"],
    ["2002:101:101::", "public"],
    // Teredo: the server's address, then the client's, inverted.
    ["2001:0:101:101:0:0:fefe:fefe", "public"],
    ["2001:0:101:101:0:0:80ff:fffe", "private"],
    ["2001:0:a00:1:0:0:fefe:fefe", "private"],
    // Unassigned.
    ["4000::1", "private"],
    ["nonsense", "never"],
  ])("%s is %s", (address, reach) => {
    expect(classify(address).reach).toBe(reach as "public"); // The table's second column.
  });
});

describe("resolve", () => {
  test("refuses a private address unless allowPrivate is set", async () => {
    const privateOnly: Resolver = async () => ["10.0.0.7"];
    const fault = await faultOf(resolve("reg.test", policy(privateOnly)));
    expect(fault).toMatchObject({ kind: "address-refused", host: "reg.test" });
    expect(JSON.stringify(fault)).toContain("allowPrivate");
    expect(await resolve("reg.test", policy(privateOnly, true))).toEqual([
      { ip: "10.0.0.7", family: 4 },
    ]);
  });

  test("refuses a link-local address after a redirect, even with allowPrivate", async () => {
    for (const address of [
      "169.254.169.254",
      "[fe80::1]",
      "[::ffff:169.254.1.1]",
      "[2002:a9fe:a9fe::]",
    ]) {
      expect(await resolve(address, policy(noAddresses, true))).toHaveLength(1);
      const redirected = { ...policy(noAddresses, true), redirectedFrom: "10.0.0.6" };
      expect(await faultOf(resolve(address, redirected))).toMatchObject({
        kind: "address-refused",
        reason: expect.stringMatching(/a link-local address, which is not dialled$/),
      });
    }
    const redirected = { ...policy(noAddresses, true), redirectedFrom: "10.0.0.6" };
    expect(await resolve("10.0.0.7", redirected)).toHaveLength(1);
  });

  test("accepts a loopback address after a redirect only from a registry on loopback", async () => {
    const names: Resolver = async (host) => [host === "private.test" ? "10.0.0.7" : "127.0.0.1"];
    for (const target of ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "loopback.test"]) {
      for (const redirectedFrom of ["10.0.0.7", "private.test", "[2606:4700::1]"]) {
        const fault = await faultOf(resolve(target, { ...policy(names, true), redirectedFrom }));
        expect(fault).toMatchObject({
          kind: "address-refused",
          reason: expect.stringMatching(/a loopback address, which is not dialled$/),
        });
      }
      for (const redirectedFrom of ["127.0.0.2", "[::1]", "localhost"]) {
        expect(await resolve(target, { ...policy(names, true), redirectedFrom })).toHaveLength(1);
      }
      expect(await resolve(target, policy(names, true))).toHaveLength(1);
    }
  });

  test("refuses multicast and unspecified addresses even with allowPrivate", async () => {
    for (const address of ["0.0.0.0", "224.0.0.1", "[::]", "[::ffff:0.0.0.0]"]) {
      const fault = await faultOf(resolve(address, policy(noAddresses, true)));
      expect(fault.kind).toBe("address-refused");
    }
  });

  test("returns only the public addresses of a host that also has private ones", async () => {
    const both: Resolver = async () => ["127.0.0.1", "1.1.1.1", "::ffff:10.0.0.1", "2606:4700::1"];
    expect(await resolve("reg.test", policy(both))).toEqual([
      { ip: "1.1.1.1", family: 4 },
      { ip: "2606:4700::1", family: 6 },
    ]);
  });

  test("checks IP literals as well, without a DNS lookup", async () => {
    const failing: Resolver = () => Promise.reject(new Error("looked up"));
    for (const host of ["127.0.0.1", "[::1]", "[::ffff:7f00:1]"]) {
      expect((await faultOf(resolve(host, policy(failing)))).kind).toBe("address-refused");
    }
    expect(await resolve("[2606:4700::1]", policy(failing))).toEqual([
      { ip: "2606:4700::1", family: 6 },
    ]);
  });

  test("refuses a loopback address in any spelling that a URL normalizes", async () => {
    for (const host of ["127.1", "0x7f.1", "2130706433", "017700000001"]) {
      const { hostname } = new URL(`http://${host}/`);
      const fault = await faultOf(resolve(hostname, policy(noAddresses)));
      expect(fault.kind).toBe("address-refused");
    }
  });

  test("reports a name without addresses and a failed DNS lookup as unreachable", async () => {
    const missing: Resolver = () =>
      Promise.reject(Object.assign(new Error(), { code: "ENOTFOUND" }));
    expect(await faultOf(resolve("gone.test", policy(missing)))).toEqual({
      kind: "upstream-unreachable",
      upstream: "reg.test",
      reason: "DNS has no address for gone.test",
    });
    const broken: Resolver = () =>
      Promise.reject(Object.assign(new Error(), { code: "EAI_AGAIN" }));
    expect(JSON.stringify(await faultOf(resolve("gone.test", policy(broken))))).toContain(
      "EAI_AGAIN",
    );
    const empty = await faultOf(resolve("gone.test", policy(noAddresses)));
    expect(empty.kind).toBe("upstream-unreachable");
  });
});
