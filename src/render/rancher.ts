import { CA_FILE_NAME } from "../config/containerd/hosts-toml.ts";
import {
  caFiles,
  header,
  hostOf,
  type RenderedFile,
  type RenderInput,
  type Target,
} from "./target.ts";

const CAVEATS = [
  "certs.d is regenerated from this file at every start: manual changes there are lost.",
  "A tab or a wrong indent in this YAML file keeps the service from starting: check the unit's log after the restart.",
  "Write endpoints without a path: an endpoint with a path is used as it is, and /v2 is not appended.",
];

function registries(product: string, apply: string): Target {
  const path = `/etc/rancher/${product}/registries.yaml`;
  return {
    name: product,
    title: product === "k3s" ? "k3s" : "RKE2",
    credentials: { use: "pull-secret", by: "containerd" },
    notes: {
      where: `${path}, on every server and every agent`,
      apply,
      caveats: CAVEATS,
    },
    render: (input, notes): RenderedFile[] => {
      const caPath = `/etc/rancher/${product}/${CA_FILE_NAME}`;
      return [
        ...caFiles(caPath, input),
        { path, text: `${header(notes)}\n${mirrors(input)}${tlsConfig(input, caPath)}` },
      ];
    },
  };
}

function mirrors({ cache, upstreams }: RenderInput): string {
  const entries = upstreams.map(
    ({ name }) => `  "${name}":\n    endpoint:\n      - "${cache.origin}"\n`,
  );
  return `mirrors:\n${entries.join("")}`;
}

function tlsConfig({ cache, ca }: RenderInput, caPath: string): string {
  if (ca === undefined) return "";
  return `configs:\n  "${hostOf(cache)}":\n    tls:\n      ca_file: ${caPath}\n`;
}

export const k3s = registries(
  "k3s",
  "`systemctl restart k3s` on servers, `systemctl restart k3s-agent` on agents",
);
export const rke2 = registries(
  "rke2",
  "`systemctl restart rke2-server` on servers, `systemctl restart rke2-agent` on agents",
);
