// What the image says of itself, and how it is run.
import { data, user } from "./base-layer.mjs";

export const source = "https://github.com/entrepot/entrepot";
export const repository = "ghcr.io/entrepot/entrepot";

const second = 1_000_000_000;

/**
 * Annotations by the OCI image specification, which are labels too. Those of a base image are missing: there is none,
 * only packages of Debian.
 */
export function annotationsOf({ version, license, description }, { commit, date }) {
  const prefix = "org.opencontainers.image.";
  const known = {
    title: "Entrepot",
    description,
    url: source,
    source,
    documentation: `${source}/tree/main/docs`,
    version,
    ...(commit === undefined ? {} : { revision: commit }),
    created: date,
    licenses: license,
    vendor: "Entrepot",
  };
  return Object.fromEntries(Object.entries(known).map(([key, value]) => [prefix + key, value]));
}

export function imageConfig(architecture, layers, annotations, date) {
  return {
    created: date,
    author: "Entrepot",
    architecture,
    os: "linux",
    ...(architecture === "arm64" ? { variant: "v8" } : {}),
    config: {
      User: `${user}:${user}`,
      Entrypoint: ["/usr/local/bin/entrepot"],
      Cmd: ["serve"],
      // What Bun reads as it starts, the program sets itself, by the machine's memory and processors.
      Env: ["PATH=/usr/local/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"],
      ExposedPorts: { "5000/tcp": {} },
      Volumes: { [`/${data}`]: {} },
      StopSignal: "SIGTERM",
      WorkingDir: "/",
      Labels: annotations,
      // Not of the OCI specification: Docker and Podman read it, and Kubernetes does not.
      Healthcheck: {
        Test: ["CMD", "/usr/local/bin/entrepot", "health"],
        Interval: 15 * second,
        Timeout: 10 * second,
        StartPeriod: 10 * second,
        Retries: 3,
      },
    },
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(({ comment }) => ({ created: date, created_by: comment })),
  };
}
