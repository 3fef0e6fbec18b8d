import { networkInterfaces } from "node:os";
import {
  CA_FILE_NAME,
  OWNERSHIP_MARK,
  cacheHost,
  renderHostsToml,
} from "../../config/containerd/hosts-toml.ts";
import { formatAddress } from "../../config/parsing/address.ts";
import { certificateInfo } from "../../config/upstreams/certificates.ts";
import type { LoadedSettings } from "../../config/load.ts";
import type { ServerIdentity } from "../../config/settings.ts";
import { counted } from "../table.ts";
import type { Listening } from "../ports/listeners.ts";

/** What `serve` prints on a terminal: the upstreams, the addresses, and how to point a node at them. */
export function banner(version: string, settings: LoadedSettings, listening: Listening): string {
  const here = `${settings.tls ? "https" : "http"}://${nodeAddress(listening.listen)}`;
  const trust = settings.tls && trustLines(settings.tls);
  const names = [...settings.upstreams.keys()];
  const width = Math.max(...names.map((name) => name.length));
  const upstreams = [...settings.upstreams.values()].map(({ name, url, listen }) => {
    const own = listening.ports[name];
    const at = listen ? "only at" : "also at";
    const ownAddress = own === undefined ? "" : `   ${at} ${nodeAddress(own)}, without a namespace`;
    return `    ${name.padEnd(width)}   from ${url.href.replace(/\/$/, "")}${ownAddress}`;
  });
  const { name: example, url, catalog } = exampleOf(settings, listening, here);
  const caFile = trust ? `/etc/containerd/${CA_FILE_NAME}` : undefined;
  const hostsToml = renderHostsToml({
    comments: [OWNERSHIP_MARK],
    server: upstreamServer(settings, example),
    root: {},
    hosts: [cacheHost({ url, caFile })],
  });
  return [
    `Entrepot ${version} caches ${counted(names.length, "registry", "registries")} at ${here}`,
    "",
    ...upstreams,
    "",
    `  Data           ${settings.dataDirectory}`,
    `  Configuration  ${settings.file ?? "built-in defaults (to change them, write a file and pass it with --config)"}`,
    `  Metrics        http://${nodeAddress(listening.admin)}/metrics`,
    "",
    `To point a containerd node at it, write /etc/containerd/certs.d/${example}/hosts.toml on the node`,
    "(one such file for each registry above), and set config_path to that certs.d directory:",
    "",
    ...hostsToml.split("\n").map((line) => line && `    ${line}`),
    ...(trust ? [...trust, ""] : []),
    `Or test it from here:  curl -s ${trust ? "--cacert CA " : ""}${url}${catalog}`,
    "It stops on Ctrl-C or SIGTERM, after the requests in progress.",
  ].join("\n");
}

/** The registry to show as an example: one that is served at `listen`, if there is one. */
function exampleOf(
  { tls, upstreams }: LoadedSettings,
  { ports }: Listening,
  here: string,
): { readonly name: string; readonly url: string; readonly catalog: string } {
  const all = [...upstreams.values()];
  const { name = "docker.io", listen } = all.find((each) => !each.listen) ?? all[0] ?? {};
  if (!listen) return { name, url: here, catalog: `/v2/${name}/_catalog` };
  const own = nodeAddress(ports[name] ?? formatAddress(listen));
  return { name, url: `${tls ? "https" : "http"}://${own}`, catalog: "/v2/_catalog" };
}

function trustLines(tls: ServerIdentity): string[] {
  const { names, to, isSelfSigned } = certificateInfo(tls);
  const day = to.toISOString().slice(0, 10);
  return [
    isSelfSigned
      ? `Copy ${tls.certificateFile} to that ca file: the certificate is self-signed`
      : "Copy the CA of its certificate to that ca file, or omit the line if nodes trust that CA already",
    `(the certificate is valid for ${names.join(", ") || "no name"}, until ${day})`,
  ];
}

function upstreamServer(settings: LoadedSettings, name: string): string {
  const found = [...settings.upstreams.values()].find((upstream) => upstream.name === name);
  return found ? found.url.href.replace(/\/$/, "") : `https://${name}`;
}

/** An address that nodes can dial: for 0.0.0.0 and [::], the first external IPv4 address of this machine. */
function nodeAddress(address: string): string {
  if (!/^(?:0\.0\.0\.0|\[::\]):/.test(address)) return address;
  const external = Object.values(networkInterfaces())
    .flat()
    .find((entry) => entry?.family === "IPv4" && !entry.internal)?.address;
  return `${external ?? "127.0.0.1"}${address.slice(address.lastIndexOf(":"))}`;
}
