import { networkInterfaces } from "node:os";
import { certificateInfo } from "../../config/upstreams/certificates.ts";
import type { LoadedSettings } from "../../config/load.ts";
import type { ServerIdentity } from "../../config/settings.ts";
import type { Listening } from "./listeners.ts";

/** One screen: what is cached, where, and how a node is pointed at it. */
export function banner(version: string, settings: LoadedSettings, listening: Listening): string {
  const reachable = nodeAddress(listening.listen);
  const here = `${settings.tls ? "https" : "http"}://${reachable}`;
  const trust = settings.tls && trustLines(settings.tls);
  const names = [...settings.upstreams.keys()];
  const width = Math.max(...names.map((name) => name.length));
  const upstreams = [...settings.upstreams.values()].map(({ name, url }) => {
    const port = listening.ports[name];
    const own = port === undefined ? "" : `   also at ${nodeAddress(port)}, without a namespace`;
    return `    ${name.padEnd(width)}   from ${url.href.replace(/\/$/, "")}${own}`;
  });
  const [example = "docker.io"] = names;
  return [
    `Entrepot ${version} caches ${names.length === 1 ? "one registry" : `${names.length} registries`} on ${here}`,
    "",
    ...upstreams,
    "",
    `  Content      ${settings.dataDirectory}`,
    `  Settings     ${settings.file ?? "the built-in ones (write a file and pass it with --config)"}`,
    `  Metrics      http://${nodeAddress(listening.admin)}/metrics`,
    "",
    `To point a containerd node at it, write its /etc/containerd/certs.d/${example}/hosts.toml`,
    "(one such file for each registry above) and set config_path to that certs.d folder:",
    "",
    `    server = "${upstreamServer(settings, example)}"`,
    "",
    `    [host."${here}"]`,
    '      capabilities = ["pull", "resolve"]',
    ...(trust ? ['      ca = "/etc/containerd/entrepot-ca.pem"', "", ...trust] : []),
    "",
    `Or try it from here:  curl -s ${trust ? "--cacert CA " : ""}${here}/v2/${example}/_catalog`,
    "It ends on Ctrl-C or SIGTERM, once what is under way is done.",
  ].join("\n");
}

function trustLines(tls: ServerIdentity): string[] {
  const { names, to, isSelfSigned } = certificateInfo(tls);
  const day = to.toISOString().slice(0, 10);
  return [
    isSelfSigned
      ? `with ${tls.certificateFile} copied to that file: it is its own authority`
      : "with the authority of its certificate in that file, or without the line if nodes trust it anyway",
    `(the certificate is good for ${names.join(", ") || "no name"}, until ${day})`,
  ];
}

function upstreamServer(settings: LoadedSettings, name: string): string {
  const found = [...settings.upstreams.values()].find((upstream) => upstream.name === name);
  return found ? found.url.href.replace(/\/$/, "") : `https://${name}`;
}

/** An address that means "all of them" cannot be dialled: one of this machine's stands for it. */
function nodeAddress(address: string): string {
  if (!/^(?:0\.0\.0\.0|\[::\]):/.test(address)) return address;
  const own = Object.values(networkInterfaces())
    .flat()
    .find((entry) => entry?.family === "IPv4" && !entry.internal)?.address;
  return `${own ?? "127.0.0.1"}${address.slice(address.lastIndexOf(":"))}`;
}
