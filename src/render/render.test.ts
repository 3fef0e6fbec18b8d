import { expect, test } from "bun:test";
import { parse, parseAllDocuments } from "yaml";
import { asOne, expectGolden } from "../../test/harness/golden.ts";
import { DEFAULT_UPSTREAMS, defaultUrl } from "../config/settings.ts";
import { parseUpstreamName } from "../oci/names.ts";
import { composeText, socketDropIn, socketText, unitText } from "./service.ts";
import { RenderError, type RenderInput } from "./target.ts";
import { render, TARGETS } from "./targets.ts";

function inputOf(cache: string, names: readonly string[]): RenderInput {
  const upstreams = names.map((text) => {
    const name = parseUpstreamName(text);
    if (!name) throw new Error(text);
    return { name, server: defaultUrl(name) };
  });
  return { cache: new URL(cache), upstreams };
}

const usual = inputOf("http://192.168.1.10:5000", [...DEFAULT_UPSTREAMS, "registry.test:5000"]);
const secure = inputOf("https://cache.example", ["docker.io", "quay.io"]);

test.each(TARGETS.map((target) => [target.name, target] as const))(
  "%s is written as the golden file has it",
  (name, target) => {
    expectGolden(`render/${name}.txt`, asOne(render(target, usual)));
  },
);

test.each(["containerd", "docker", "podman", "buildkit"])("%s with a cache behind TLS", (name) => {
  const target = TARGETS.find((one) => one.name === name) ?? expect.unreachable(name);
  expectGolden(`render/${name}-tls.txt`, asOne(render(target, secure)));
});

const PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
const trusting = {
  ...inputOf("https://cache.example:5000", ["docker.io", "quay.io"]),
  authority: PEM,
};

test.each(TARGETS.filter(({ isCacheItself }) => !isCacheItself))(
  "$name with a cache whose authority is one's own",
  (target) => {
    if (/cloud-init|proxmox/.test(target.name)) return;
    const files = render(target, trusting);
    expectGolden(`render/${target.name}-ca.txt`, asOne(files));
    // Whoever reads a file has to find those before it that it names.
    const all = files.map(({ text }) => text).join("");
    expect(all.includes(PEM) || all.includes(btoa(PEM)) || all.includes("  MIIB\n")).toBe(true);
  },
);

test.each(TARGETS.map((target) => [target.name, target] as const))(
  "every file of %s is of its format, and says where it goes unless that has no comments",
  (_, target) => {
    for (const { path, text } of render(target, usual)) {
      if (path.endsWith(".yaml")) {
        for (const document of parseAllDocuments(text)) expect(document.errors).toEqual([]);
      } else if (path.endsWith(".toml") || path.endsWith(".part") || path.includes("registries")) {
        expect(Object.keys(Bun.TOML.parse(text)).length).toBeGreaterThan(0);
      } else if (path.endsWith(".json")) expect(Object.keys(JSON.parse(text))).not.toEqual([]);
      if (/\.json$|sysusers/.test(path)) continue;
      expect(text).toContain("# Where: ");
      expect(text).toContain("# After: ");
    }
  },
);

test("a file of the deploy folder is what is rendered", async () => {
  expect(await Bun.file("deploy/systemd/entrepot.service").text()).toBe(unitText());
  expect(await Bun.file("deploy/systemd/entrepot.socket").text()).toBe(socketText("5000"));
  expect(await Bun.file("deploy/systemd/entrepot.service.d/socket.conf").text()).toBe(
    socketDropIn(),
  );
  expect(await Bun.file("deploy/compose.yaml").text()).toBe(composeText());
});

test("Docker cannot be told without Docker Hub", () => {
  const target = TARGETS.find((one) => one.name === "docker") ?? expect.unreachable();
  expect(() => render(target, inputOf("http://c:5000", ["ghcr.io"]))).toThrow(RenderError);
});

test("the address of a machine has to be known where it is set", () => {
  const target = TARGETS.find((one) => one.name === "proxmox") ?? expect.unreachable();
  const named = inputOf("http://cache.example:5000", ["ghcr.io"]);
  expect(() => render(target, named)).toThrow("--address 192.168.1.10/24");
  const [script] = render(target, { ...named, address: "10.0.0.9/16", gateway: "10.0.255.1" });
  expect(script?.text).toContain('qm set "$vm" --ipconfig0 "ip=10.0.0.9/16,gw=10.0.255.1"');
});

test("the cache's machine asks registries where they are, and listens where it may", () => {
  const target = TARGETS.find((one) => one.name === "cloud-init") ?? expect.unreachable();
  const own = parseUpstreamName("corp.test:5000") ?? expect.unreachable();
  const userData = (cache: string): string | undefined => {
    const upstreams = [{ name: own, server: "http://10.0.0.9:5000" }];
    return render(target, { cache: new URL(cache), upstreams, address: "10.0.0.4/24" })[1]?.text;
  };
  expect(userData("http://10.0.0.4:5000")).toContain(
    `        "corp.test:5000":\n          url: "http://10.0.0.9:5000"\n          allowPrivate: true\n`,
  );
  // TLS ends before it.
  expect(userData("https://cache.test")).toContain("listen: 0.0.0.0:5000\n");
  expect(() => userData("http://10.0.0.4")).toThrow("below 1024");
});

test("addresses of IPv6 are set as such, and what is no address is refused", () => {
  const target = (wanted: string) =>
    TARGETS.find(({ name }) => name === wanted) ?? expect.unreachable();
  const six = { ...usual, cache: new URL("http://[fd00::4]:5000") };
  const given = { ...six, address: "fd00::4/64", gateway: "fd00::1" };
  const [script, user] = render(target("proxmox"), given);
  expect(script?.text).toContain('--ipconfig0 "ip6=fd00::4/64,gw6=fd00::1"');
  expect(user?.text).toContain('listen: "[::]:5000"\n');
  for (const address of ["x", '10.0.0.4/24";reboot', "10.0.0.4", "10.0.0.4/33"]) {
    expect(() => render(target("proxmox"), { ...usual, address })).toThrow("--address");
  }
  expect(() => render(target("proxmox"), { ...usual, gateway: "fd00::1" })).toThrow("--gateway");
  const astray = { ...usual, address: "10.0.0.8/24", gateway: "10.1.0.1" };
  expect(() => render(target("proxmox"), astray)).toThrow(
    "--gateway: 10.1.0.1 is not in the network of 10.0.0.8/24",
  );
  const linkLocal = { ...six, address: "fd00::4/64", gateway: "fe80::1" };
  expect(() => render(target("proxmox"), linkLocal)).not.toThrow();
});

test("the structures that k3s, Talos, kind and Gardener read", () => {
  const yaml = (name: string, index = 0): unknown => {
    const target = TARGETS.find((one) => one.name === name) ?? expect.unreachable(name);
    return parse(render(target, secure)[index]?.text ?? "");
  };
  const endpoint = ["https://cache.example"];
  expect(yaml("k3s")).toEqual({ mirrors: { "docker.io": { endpoint }, "quay.io": { endpoint } } });
  expect(yaml("talos")).toEqual({
    machine: {
      registries: {
        mirrors: { "docker.io": { endpoints: endpoint }, "quay.io": { endpoints: endpoint } },
      },
    },
  });
  const mirrors = ["docker.io", "quay.io"].map((upstream) => ({
    upstream,
    hosts: [{ host: "https://cache.example", capabilities: ["pull", "resolve"] }],
  }));
  expect(yaml("gardener")).toEqual({
    spec: {
      extensions: [
        {
          type: "registry-mirror",
          providerConfig: {
            apiVersion: "mirror.extensions.gardener.cloud/v1alpha1",
            kind: "MirrorConfig",
            mirrors,
          },
        },
      ],
    },
  });
});
