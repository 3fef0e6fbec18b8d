import { AUTHORITY_FILE, authorityAt, header, hostOf, isPlain, type Target } from "./target.ts";

export const buildkit: Target = {
  name: "buildkit",
  title: "BuildKit (buildkitd, docker buildx with the container driver)",
  notes: {
    where:
      "/etc/buildkit/buildkitd.toml; for buildx a file for `docker buildx create --buildkitd-config FILE`",
    restart:
      "`systemctl restart buildkit`, or make the builder anew: `docker buildx rm NAME`, then create",
    mind: [
      "A mirror is written without a scheme. That it speaks plain HTTP is said in a table of its own.",
      "The builder of the docker driver, the default of buildx, reads Docker's daemon.json and not this.",
    ],
  },
  render: (input, notes) => {
    const { cache, upstreams, authority } = input;
    const ca = `/etc/buildkit/${AUTHORITY_FILE}`;
    const host = hostOf(cache);
    const tables = upstreams.map(({ name }) => `[registry."${name}"]\n  mirrors = ["${host}"]\n`);
    if (isPlain(cache)) tables.push(`[registry."${host}"]\n  http = true\n`);
    if (authority !== undefined) tables.push(`[registry."${host}"]\n  ca = ["${ca}"]\n`);
    return [
      ...authorityAt(ca, input),
      {
        path: "/etc/buildkit/buildkitd.toml",
        text: `${header(notes)}\n${tables.join("\n")}`,
      },
    ];
  },
};
