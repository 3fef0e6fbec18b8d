import {
  authorityAt,
  comment,
  header,
  hostOf,
  isPlain,
  type Notes,
  type RenderedFile,
  type RenderInput,
  type Target,
} from "./target.ts";

const PATH = "/etc/containers/registries.conf.d/50-entrepot.conf";
const MIND = [
  "These tools send no namespace: the registry's name is the first part of the path at the cache.",
  "A [[registry]] with the same prefix in another file of the folder is replaced as a whole by the file that is read last.",
  "`insecure` means plain HTTP, and is for the mirror alone.",
];

export const podman: Target = {
  name: "podman",
  title: "Podman, Buildah and Skopeo",
  notes: {
    where: `${PATH}; for one user ~/.config/containers/registries.conf.d/`,
    restart: "nothing: the files are read by every command",
    mind: MIND,
  },
  render: files,
};

export const crio: Target = {
  name: "cri-o",
  title: "CRI-O",
  notes: {
    where: `${PATH}, on every node`,
    restart: "`systemctl reload crio`, which reads the registries anew",
    mind: [
      ...MIND,
      "OpenShift writes this folder itself: use its ImageDigestMirrorSet and ImageTagMirrorSet there.",
    ],
  },
  render: files,
};

function files(input: RenderInput, notes: Notes): RenderedFile[] {
  return [
    ...authorityAt(`/etc/containers/certs.d/${hostOf(input.cache)}/ca.crt`, input),
    { path: PATH, text: `${header(notes)}\n${registriesConf(input)}` },
  ];
}

function registriesConf({ cache, upstreams }: RenderInput): string {
  const host = hostOf(cache);
  return upstreams
    .map(({ name }) => {
      if (name.includes(":")) {
        return `${comment(`${name} is left out: a name with a port cannot be part of a path. Give it a port of its own at the cache, and write that as the mirror's location.`)}\n`;
      }
      return [
        "[[registry]]",
        `prefix = "${name}"`,
        `location = "${name}"`,
        "",
        "[[registry.mirror]]",
        `location = "${host}/${name}"`,
        ...(isPlain(cache) ? ["insecure = true"] : []),
        "",
      ].join("\n");
    })
    .join("\n");
}
