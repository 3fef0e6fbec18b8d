import { OWN_FILE, cacheMirror, registryTable } from "../config/containers/registries-conf.ts";
import {
  caFiles,
  comment,
  header,
  hostOf,
  isPlain,
  type Notes,
  type RenderedFile,
  type RenderInput,
  type Target,
} from "./target.ts";

const PATH = `/etc/containers/registries.conf.d/${OWN_FILE}`;
const CAVEATS = [
  "These tools send no `ns` parameter, so the mirror's location has the registry's name as its first path component.",
  "If several files of the directory have a [[registry]] with the same prefix, the one read last replaces the others entirely.",
  "`insecure` allows plain HTTP. It applies to the mirror only, not to the registry.",
];

export const podman: Target = {
  name: "podman",
  title: "Podman, Buildah and Skopeo",
  credentials: { use: "login-or-registry", by: "Podman" },
  notes: {
    where: `${PATH}; for a single user, ~/.config/containers/registries.conf.d/`,
    apply: "nothing to do: every command reads the files",
    caveats: CAVEATS,
  },
  render: files,
};

export const crio: Target = {
  name: "cri-o",
  title: "CRI-O",
  credentials: { use: "none", by: "CRI-O" },
  notes: {
    where: `${PATH}, on every node`,
    apply: "`systemctl reload crio`, which reloads the registries",
    caveats: [
      ...CAVEATS,
      "OpenShift manages this directory: use its ImageDigestMirrorSet and ImageTagMirrorSet there.",
    ],
  },
  render: files,
};

function files(input: RenderInput, notes: Notes): RenderedFile[] {
  return [
    ...caFiles(`/etc/containers/certs.d/${hostOf(input.cache)}/ca.crt`, input),
    { path: PATH, text: `${header(notes)}\n${registriesConf(input)}` },
  ];
}

function registriesConf({ cache, upstreams }: RenderInput): string {
  const host = hostOf(cache);
  return upstreams
    .map(({ name }) => {
      if (name.includes(":")) {
        return `${comment(`${name} is omitted: a name with a port cannot be part of a path. Set \`port\` for this upstream in entrepot.yaml, and use that port as the mirror's location.`)}\n`;
      }
      const mirrors = [cacheMirror(host, name, isPlain(cache))];
      return registryTable({ prefix: name, location: name, mirrors });
    })
    .join("\n");
}
