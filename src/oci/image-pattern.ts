import { type Digest, parseDigest } from "./digest.ts";
import { looksLikeRegistry } from "./names.ts";

/** Images by name, as a person writes them; `*` stands for any characters. */
export interface Pattern {
  /** In full: `docker.io/library/nginx:*`. */
  readonly text: string;
  readonly digest?: Digest;
  /** Whether it means this image; a tag is absent where the image is known by digest alone. */
  matches(image: NamedImage): boolean;
}

export interface NamedImage {
  readonly upstream: string;
  readonly repository: string;
  readonly tag?: string;
  readonly digest: Digest;
}

/** Longer ones are no image's name. */
const LONGEST = 600;
const FORM = /^[a-zA-Z0-9*][a-zA-Z0-9*._/:[\]-]*$/;

/**
 * Reads `docker.io/library/*:*`, `registry.k8s.io/pause:3.10`, `nginx` (Docker Hub's, with every
 * tag), `ghcr.io/org/app@sha256:…` or `*`; undefined where it is none.
 */
export function parsePattern(text: string): Pattern | undefined {
  const [name = "", digestText, ...more] = text.trim().split("@");
  const digest = digestText === undefined ? undefined : parseDigest(digestText);
  if (more.length > 0 || (digestText !== undefined && !digest)) return undefined;
  if (name.length > LONGEST || !FORM.test(name)) return undefined;
  const full = inFull(name);
  const slash = full.lastIndexOf("/");
  const colon = full.indexOf(":", slash);
  const image = colon < 0 ? full : full.slice(0, colon);
  const tag = colon < 0 || digest ? "*" : full.slice(colon + 1);
  if (image === "" || tag === "" || image.endsWith("/") || image.includes("//")) return undefined;
  const [imageForm, tagForm] = [expression(image), expression(tag)];
  return {
    text: digest ? `${image}@${digest}` : `${image}:${tag}`,
    ...(digest ? { digest } : {}),
    matches: (named) =>
      imageForm.test(`${named.upstream}/${named.repository}`) &&
      (digest === undefined || named.digest === digest) &&
      (named.tag === undefined ? digest !== undefined || tag === "*" : tagForm.test(named.tag)),
  };
}

/** As docker understands short names. */
function inFull(name: string): string {
  const [first = "", ...rest] = name.split("/");
  if (first.includes("*") || (rest.length > 0 && looksLikeRegistry(first))) return name;
  return rest.length > 0 ? `docker.io/${name}` : `docker.io/library/${name}`;
}

/** Stars in a row are one: many of them would let a long name be tried for very long. */
function expression(glob: string): RegExp {
  const parts = glob.replaceAll(/\*+/g, "*").split("*");
  return new RegExp(`^${parts.map((part) => RegExp.escape(part)).join(".*")}$`);
}
