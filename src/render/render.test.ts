import { expect, test } from "bun:test";
import { parse, parseAllDocuments } from "yaml";
import { asOne, expectGolden } from "../../test/harness/golden.ts";
import { DEFAULT_UPSTREAMS, defaultUrl } from "../config/settings.ts";
import { parseUpstreamName } from "../oci/names.ts";
import { exampleText } from "./cache-machine/compose.ts";
import { socketDropIn, socketText, unitText } from "./cache-machine/service.ts";
import { RenderError, type RenderInput, type Target } from "./target.ts";
import { render, TARGETS } from "./targets.ts";

function inputOf(cache: string, names: readonly string[]): RenderInput {
  const upstreams = names.map((text) => {
    const name = parseUpstreamName(text);
    if (!name) throw new Error(text);
    return { name, server: defaultUrl(name) };
  });
  return { cache: new URL(cache), upstreams };
}

const plainInput = inputOf("http://192.168.1.10:5000", [
  ...DEFAULT_UPSTREAMS,
  "registry.test:5000",
]);
const tlsInput = inputOf("https://cache.example", ["docker.io", "quay.io"]);

function targetNamed(name: string): Target {
  return TARGETS.find((target) => target.name === name) ?? expect.unreachable(name);
}

test.each(TARGETS.map((target) => [target.name, target] as const))(
  "%s over HTTP renders the golden file",
  (name, target) => {
    expectGolden(`render/${name}.txt`, asOne(render(target, plainInput)));
  },
);

test.each(["containerd", "docker", "podman", "buildkit"])(
  "%s over HTTPS with a public CA renders the golden file",
  (name) => {
    expectGolden(`render/${name}-tls.txt`, asOne(render(targetNamed(name), tlsInput)));
  },
);

const PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
const privateCaInput = {
  ...inputOf("https://cache.example:5000", ["docker.io", "quay.io"]),
  ca: PEM,
};

test.each(TARGETS.filter(({ isCacheItself }) => !isCacheItself))(
  "$name over HTTPS with a private CA renders the golden file and includes the CA certificate",
  (target) => {
    if (/cloud-init|proxmox/.test(target.name)) return;
    const files = render(target, privateCaInput);
    expectGolden(`render/${target.name}-ca.txt`, asOne(files));
    const all = files.map(({ text }) => text).join("");
    expect(all.includes(PEM) || all.includes(btoa(PEM)) || all.includes("  MIIB\n")).toBe(true);
  },
);

test.each(TARGETS.map((target) => [target.name, target] as const))(
  "every file of %s parses as its format and, unless it is JSON, says where it goes",
  (_, target) => {
    for (const { path, text } of render(target, plainInput)) {
      if (path.endsWith(".yaml")) {
        for (const document of parseAllDocuments(text)) expect(document.errors).toEqual([]);
      } else if (path.endsWith(".toml") || path.endsWith(".part") || path.includes("registries")) {
        expect(Object.keys(Bun.TOML.parse(text)).length).toBeGreaterThan(0);
      } else if (path.endsWith(".json")) expect(Object.keys(JSON.parse(text))).not.toEqual([]);
      if (/\.json$|sysusers/.test(path)) continue;
      expect(text).toContain("# Where: ");
      expect(text).toContain("# Apply: ");
    }
  },
);

test("the files in deploy/ are identical to the rendered ones", async () => {
  expect(await Bun.file("deploy/systemd/entrepot.service").text()).toBe(unitText());
  expect(await Bun.file("deploy/systemd/entrepot.socket").text()).toBe(socketText("5000"));
  expect(await Bun.file("deploy/systemd/entrepot.service.d/socket.conf").text()).toBe(
    socketDropIn(),
  );
  expect(await Bun.file("deploy/compose.yaml").text()).toBe(exampleText());
});

test("docker without docker.io among the upstreams is an error", () => {
  const input = inputOf("http://c:5000", ["ghcr.io"]);
  expect(() => render(targetNamed("docker"), input)).toThrow(RenderError);
});

test("proxmox needs --address if the cache's URL has a host name", () => {
  const target = targetNamed("proxmox");
  const byName = inputOf("http://cache.example:5000", ["ghcr.io"]);
  expect(() => render(target, byName)).toThrow("--address 192.168.1.10/24");
  const [script] = render(target, { ...byName, address: "10.0.0.9/16", gateway: "10.0.255.1" });
  expect(script?.text).toContain('qm set "$vm" --ipconfig0 "ip=10.0.0.9/16,gw=10.0.255.1"');
});

test("the cache's user data has each upstream's URL, and a port that the service may open", () => {
  const target = targetNamed("cloud-init");
  const name = parseUpstreamName("corp.test:5000") ?? expect.unreachable();
  const userData = (cache: string): string | undefined => {
    const upstreams = [{ name, server: "http://10.0.0.9:5000" }];
    return render(target, { cache: new URL(cache), upstreams, address: "10.0.0.4/24" })[1]?.text;
  };
  expect(userData("http://10.0.0.4:5000")).toContain(
    `        "corp.test:5000":\n          url: "http://10.0.0.9:5000"\n          allowPrivate: true\n`,
  );
  // A reverse proxy terminates TLS.
  expect(userData("https://cache.test")).toContain("listen: 0.0.0.0:5000\n");
  expect(() => userData("http://10.0.0.4")).toThrow("below 1024");
});

test("proxmox accepts IPv6 addresses and rejects invalid addresses and unreachable gateways", () => {
  const target = targetNamed("proxmox");
  const ipv6 = { ...plainInput, cache: new URL("http://[fd00::4]:5000") };
  const [script, user] = render(target, { ...ipv6, address: "fd00::4/64", gateway: "fd00::1" });
  expect(script?.text).toContain('--ipconfig0 "ip6=fd00::4/64,gw6=fd00::1"');
  expect(user?.text).toContain('listen: "[::]:5000"\n');
  for (const address of ["x", '10.0.0.4/24";reboot', "10.0.0.4", "10.0.0.4/33"]) {
    expect(() => render(target, { ...plainInput, address })).toThrow("--address");
  }
  expect(() => render(target, { ...plainInput, gateway: "fd00::1" })).toThrow("--gateway");
  const unreachable = { ...plainInput, address: "10.0.0.8/24", gateway: "10.1.0.1" };
  expect(() => render(target, unreachable)).toThrow(
    "--gateway: 10.1.0.1 is outside the network of 10.0.0.8/24",
  );
  const linkLocal = { ...ipv6, address: "fd00::4/64", gateway: "fe80::1" };
  expect(() => render(target, linkLocal)).not.toThrow();
});

test("k3s, Talos and Gardener get the structures that they expect", () => {
  const yaml = (name: string, index = 0): unknown =>
    parse(render(targetNamed(name), tlsInput)[index]?.text ?? "");
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
