import { CA_FILE_NAME } from "../config/containerd/hosts-toml.ts";
import { caFiles, header, hostOf, isPlain, type Target } from "./target.ts";

export const buildkit: Target = {
  name: "buildkit",
  title: "BuildKit (buildkitd, docker buildx with the docker-container driver)",
  credentials: { use: "login", by: "BuildKit" },
  notes: {
    where:
      "/etc/buildkit/buildkitd.toml; for buildx, any file passed to `docker buildx create --buildkitd-config FILE`",
    apply:
      "`systemctl restart buildkit`; for buildx, recreate the builder: `docker buildx rm NAME`, then `docker buildx create`",
    caveats: [
      "Mirrors are written without a scheme. Plain HTTP is configured in a [registry] table for the cache's host.",
      "The docker driver, which is the default of buildx, reads Docker's daemon.json and not this file.",
    ],
  },
  render: (input, notes) => {
    const { cache, upstreams, ca } = input;
    const caPath = `/etc/buildkit/${CA_FILE_NAME}`;
    const host = hostOf(cache);
    const tables = upstreams.map(({ name }) => `[registry."${name}"]\n  mirrors = ["${host}"]\n`);
    if (isPlain(cache)) tables.push(`[registry."${host}"]\n  http = true\n`);
    if (ca !== undefined) tables.push(`[registry."${host}"]\n  ca = ["${caPath}"]\n`);
    return [
      ...caFiles(caPath, input),
      {
        path: "/etc/buildkit/buildkitd.toml",
        text: `${header(notes)}\n${tables.join("\n")}`,
      },
    ];
  },
};
