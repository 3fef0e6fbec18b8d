/** A TOML basic string. JSON's escapes are a subset of TOML's, except that TOML has to escape DEL. */
export function tomlString(text: string): string {
  return JSON.stringify(text).replaceAll("\u007f", String.raw`\u007f`);
}
