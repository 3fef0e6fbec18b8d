import {
  AUTHORITY_FILE,
  authorityAt,
  header,
  hostOf,
  type RenderedFile,
  type RenderInput,
  type Target,
} from "./target.ts";

const MIND = [
  "certs.d is made anew from this file at every start: what is written there by hand is deleted.",
  "The file is YAML and a tab or a wrong indent in it stops the start: look at the unit's log after the restart.",
  "An endpoint is written without a path: with one, the path is used as it is and /v2 is not added.",
];

function registries(product: string, services: string): Target {
  const path = `/etc/rancher/${product}/registries.yaml`;
  return {
    name: product,
    title: product === "k3s" ? "k3s" : "RKE2",
    notes: {
      where: `${path}, on every server and every agent`,
      restart: services,
      mind: MIND,
    },
    render: (input, notes): RenderedFile[] => {
      const ca = `/etc/rancher/${product}/${AUTHORITY_FILE}`;
      return [
        ...authorityAt(ca, input),
        { path, text: `${header(notes)}\n${mirrors(input)}${trust(input, ca)}` },
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

function trust({ cache, authority }: RenderInput, file: string): string {
  if (authority === undefined) return "";
  return `configs:\n  "${hostOf(cache)}":\n    tls:\n      ca_file: ${file}\n`;
}

export const k3s = registries(
  "k3s",
  "`systemctl restart k3s` on servers, `systemctl restart k3s-agent` on agents",
);
export const rke2 = registries(
  "rke2",
  "`systemctl restart rke2-server` on servers, `systemctl restart rke2-agent` on agents",
);
