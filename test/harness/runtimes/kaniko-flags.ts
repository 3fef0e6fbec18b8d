/** What the arguments of kaniko make of an image: kaniko's `remote.go`, and `repository.go` of its library. */
export interface KanikoFlags {
  /** The references that are asked in turn before the registry itself, with `library/` where it belongs. */
  remap(image: string): string[];
  /** Whether plain HTTP is allowed for a host. */
  isInsecure(host: string): boolean;
}

/** @throws Error for an argument that kaniko does not take */
export function kanikoFlags(args: readonly string[]): KanikoFlags {
  const maps: [from: string, to: string][] = [];
  const insecure: string[] = [];
  for (const arg of args) {
    const [, flag = "", value = ""] = /^--([a-z-]+)=(.+)$/.exec(arg) ?? [];
    const at = value.indexOf("=");
    if (flag === "registry-map") maps.push([value.slice(0, at), value.slice(at + 1)]);
    else if (flag === "insecure-registry") insecure.push(value);
    else if (flag !== "registry-certificate") throw new Error(`kaniko has no ${arg}`);
  }
  return {
    isInsecure: (host) => insecure.includes(host),
    remap: (image) => {
      const { registry, repository, tag } = referenceOf(image, "index.docker.io");
      return maps
        .filter(([from]) => from === registry)
        .map(([, to]) => {
          const [host = "", ...prefix] = to.split("/");
          // The name is read again, with the new host as the default: a first component with a dot wins.
          const name = [...prefix, repository].join("/");
          const remapped = referenceOf(`${name}:${tag}`, host);
          return `${remapped.registry}/${remapped.repository}:${tag}`;
        });
    },
  };
}

function referenceOf(
  image: string,
  defaultRegistry: string,
): { registry: string; repository: string; tag: string } {
  const [, name = "", tag = "latest"] = /^(.+?)(?::([^:/]+))?$/.exec(image) ?? [];
  const [first = "", ...rest] = name.split("/");
  const isNamed = rest.length > 0 && /[.:]/.test(first);
  const named = isNamed ? first : defaultRegistry;
  const registry = named === "docker.io" ? "index.docker.io" : named;
  const repository = isNamed ? rest.join("/") : name;
  const isShort = registry === "index.docker.io" && !repository.includes("/");
  return { registry, repository: isShort ? `library/${repository}` : repository, tag };
}
