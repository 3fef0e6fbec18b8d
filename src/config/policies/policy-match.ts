import type { Tag } from "../../oci/names.ts";
import { GlobPattern } from "../parsing/glob-pattern.ts";
import type { PolicyImage, PolicyMatch } from "./policy-settings.ts";

/**
 * Compiles the images that a rule is for: a pattern of repositories with their registry, and after a colon one
 * of tags. Returns the reason if the text is invalid.
 */
export function policyMatch(text: string): PolicyMatch | string {
  if (text.includes("@"))
    return "names a digest: rules are for tags, and hold for the digests that they have";
  const colon = text.indexOf(":", text.lastIndexOf("/") + 1);
  const name = GlobPattern.compile(colon < 0 ? text : text.slice(0, colon));
  const tag = GlobPattern.compile(colon < 0 ? "**" : text.slice(colon + 1));
  if (typeof name === "string") return name;
  if (typeof tag === "string") return `has a tag that ${tag}`;
  const isEveryTag = colon < 0;
  const matchesRepository = ({ upstream, repository }: PolicyImage): boolean =>
    name.matches(`${upstream}/${repository}`);
  const matchesTag = (one: Tag): boolean => isEveryTag || tag.matches(one);
  return {
    text,
    matches: (image: PolicyImage, one: Tag) => matchesTag(one) && matchesRepository(image),
    matchesTag,
    matchesRepository,
    toJSON: () => text,
  };
}
