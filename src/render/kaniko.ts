import { DOCKER_HUB } from "../config/settings.ts";
import {
  comment,
  header,
  hostOf,
  isPlain,
  RenderError,
  type RenderedFile,
  type RenderedUpstream,
  type RenderInput,
  type Target,
} from "./target.ts";

/** What kaniko calls Docker Hub, however a Dockerfile names it. */
const DOCKER_HUB_IN_KANIKO = "index.docker.io";
/** kaniko leaves its own folder out of what it builds. */
const CA_IN_POD = "/kaniko/entrepot-ca.crt";

export const kaniko: Target = {
  name: "kaniko",
  title: "kaniko 1.23 and newer, in a pod or a CI job",
  credentials: { use: "login", by: "kaniko" },
  notes: {
    where:
      "`args` of the container that runs /kaniko/executor; in a CI job, the same words after /kaniko/executor",
    apply: "nothing to do: the next build uses them",
    caveats: [
      "kaniko sends no `ns` parameter, and takes a path such as CACHE/ghcr.io for the registry ghcr.io itself (GoogleContainerTools/kaniko issues 3182 and 3313). So each registry but Docker Hub needs a `port` of its own in entrepot.yaml.",
      "What FROM and COPY --from name is pulled through the cache, and what /kaniko/warmer fetches if it is given the same words. What RUN downloads is not, and --destination and --cache-repo are pushed to their own registries.",
      "If the cache fails, kaniko pulls from the registry itself. --skip-default-registry-fallback would make the build fail instead.",
      "A repository whose first component has a dot, such as quay.io/my.org/app, is not pulled through the cache: kaniko takes my.org for a registry.",
    ],
  },
  render: (input, notes) => {
    const entries = input.upstreams.map((upstream) => entryOf(upstream, input));
    if (!entries.some(({ args }) => args.length > 0)) {
      throw new RenderError(
        "kaniko needs a port of its own for each registry but Docker Hub, and none has one: set port for each upstream in entrepot.yaml, and pass --config, or ask the running cache",
      );
    }
    const left = entries.flatMap(({ omitted }) => omitted ?? []);
    const lines = entries.flatMap(({ args }) => args.map((arg) => `  - ${JSON.stringify(arg)}\n`));
    const omitted = left.map((text) => `${comment(text)}\n`).join("");
    return [
      {
        path: "kaniko-args.yaml",
        text: `${header(notes)}${omitted}\nargs:\n${lines.join("")}${caMount(input)}`,
      },
      ...caFile(input),
    ];
  },
};

interface Entry {
  readonly args: readonly string[];
  /** Why there are none. */
  readonly omitted?: string;
}

function entryOf({ name, port, isAlone }: RenderedUpstream, input: RenderInput): Entry {
  const { cache, ca } = input;
  const isHub = name === DOCKER_HUB;
  if (port === undefined && (!isHub || isAlone)) {
    return { args: [], omitted: `${name} is left out: it has no port of its own for nodes.` };
  }
  const host = port === undefined ? hostOf(cache) : `${cache.hostname}:${port}`;
  const args = [`--registry-map=${isHub ? DOCKER_HUB_IN_KANIKO : name}=${host}`];
  if (isPlainAt(port, input)) args.push(`--insecure-registry=${host}`);
  else if (ca !== undefined) args.push(`--registry-certificate=${host}=${CA_IN_POD}`);
  return { args };
}

/** TLS of a reverse proxy at `--cache` does not cover the ports of single registries. */
function isPlainAt(port: number | undefined, { cache, config }: RenderInput): boolean {
  if (port === undefined || !config) return isPlain(cache);
  return !config.hasTls;
}

function caMount({ ca }: RenderInput): string {
  if (ca === undefined) return "";
  return `# The CA certificate, from a ConfigMap in the pod's namespace:
# \`kubectl create configmap entrepot-ca --from-file=entrepot-ca.crt\`
volumeMounts:
  - { name: entrepot-ca, mountPath: ${CA_IN_POD}, subPath: entrepot-ca.crt, readOnly: true }
# In the pod's own list:
# volumes:
#   - { name: entrepot-ca, configMap: { name: entrepot-ca } }
`;
}

function caFile({ ca }: RenderInput): RenderedFile[] {
  return ca === undefined ? [] : [{ path: "entrepot-ca.crt", text: ca }];
}
