import { networkInterfaces } from "node:os";
import {
  CA_FILE_NAME,
  OWNERSHIP_MARK,
  cacheHost,
  renderHostsToml,
} from "../../config/containerd/hosts-toml.ts";
import { certificateInfo } from "../../config/upstreams/certificates.ts";
import type { LoadedSettings } from "../../config/load.ts";
import type { ServerIdentity } from "../../config/settings.ts";
import { counted } from "../table.ts";
import type { Listening } from "../ports/listeners.ts";

/** What `serve` prints on a terminal: the upstreams, the addresses, and how to point a node at them. */
export function banner(version: string, settings: LoadedSettings, listening: Listening): string {
  const reachable = nodeAddress(listening.listen);
  const here = `${settings.tls ? "https" : "http"}://${reachable}`;
  const trust = settings.tls && trustLines(settings.tls);
  const names = [...settings.upstreams.keys()];
  const width = Math.max(...names.map((name) => name.length));
  const upstreams = [...settings.upstreams.values()].map(({ name, url }) => {
    const port = listening.ports[name];
    const ownPort =
      port === undefined ? "" : `   also at ${nodeAddress(port)}, without a namespace`;
    return `    ${name.padEnd(width)}   from ${url.href.replace(/\/$/, "")}${ownPort}`;
  });
  const [example = "docker.io"] = names;
  const caFile = trust ? `/etc/containerd/${CA_FILE_NAME}` : undefined;
  const hostsToml = renderHostsToml({
    comments: [OWNERSHIP_MARK],
    server: upstreamServer(settings, example),
    root: {},
    hosts: [cacheHost({ url: here, caFile })],
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
    `Or test it from here:  curl -s ${trust ? "--cacert CA " : ""}${here}/v2/${example}/_catalog`,
    "It stops on Ctrl-C or SIGTERM, after the requests in progress.",
  ].join("\n");
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
