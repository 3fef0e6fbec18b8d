import { certsTree } from "./certs-tree.ts";
import { caFiles, hostOf, isPlain, RenderError, type Target } from "./target.ts";

export const docker: Target = {
  name: "docker",
  title: "Docker",
  credentials: { use: "docker", by: "Docker" },
  notes: {
    where:
      "/etc/docker/daemon.json: merge these keys into the existing file. JSON has no comments, so this note is not part of it",
    apply:
      "`systemctl reload docker` loads the mirrors; `docker info` lists them under Registry Mirrors",
    caveats: [
      "registry-mirrors applies to Docker Hub only. Pull images of other registries by path, `docker pull CACHE/ghcr.io/org/image:tag`; insecure-registries allows that over HTTP.",
      "The hosts.toml files below /etc/docker/certs.d take effect only with Docker's containerd image store (`docker info` then shows driver-type io.containerd.snapshotter.v1).",
      "A syntax error, such as a trailing comma, keeps Docker from starting. Check the file first with `dockerd --validate --config-file /etc/docker/daemon.json` (Docker 23 and newer).",
    ],
  },
  render: (input, notes) => {
    const { cache, upstreams } = input;
    if (!upstreams.some(({ name }) => name === "docker.io")) {
      throw new RenderError(
        "Docker supports mirrors of Docker Hub only, and docker.io is not among the upstreams: add --upstream docker.io",
      );
    }
    const daemon = {
      "registry-mirrors": [cache.origin],
      ...(isPlain(cache) ? { "insecure-registries": [hostOf(cache)] } : {}),
    };
    const others = upstreams.filter(({ name }) => name !== "docker.io");
    return [
      { path: "/etc/docker/daemon.json", text: `${JSON.stringify(daemon, undefined, 2)}\n` },
      ...caFiles(`/etc/docker/certs.d/${hostOf(cache)}/ca.crt`, input),
      ...certsTree(
        "/etc/docker/certs.d",
        { ...input, upstreams: others },
        {
          ...notes,
          where: "the hosts.toml files below /etc/docker/certs.d, one directory per registry",
        },
      ),
    ];
  },
};
