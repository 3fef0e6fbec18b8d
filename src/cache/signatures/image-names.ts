import { parseImageReference } from "../../oci/image-reference.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import type { Upstream } from "../upstream.ts";

/**
 * The names that a signature may have for a repository: that of its images, and that at the registry's own address,
 * which is what whoever signs sees where the upstream has another name here.
 */
export function imageNames(
  { settings }: Pick<Upstream, "settings">,
  { repository }: RepositoryRef,
): ReadonlySet<string> {
  const { name, url } = settings;
  const names = [
    `${name}/${repository}`,
    `${url.host}${url.pathname.replace(/\/$/, "")}/${repository}`,
  ];
  return new Set(
    names.flatMap((text) => {
      const reference = parseImageReference(text);
      return reference ? [`${reference.upstream}/${reference.repository}`] : [];
    }),
  );
}
