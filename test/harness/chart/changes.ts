import { stringify } from "yaml";
import type { Manifest } from "../pods/helm.ts";
import { run } from "../processes.ts";
import { tempDir } from "../temp-dir.ts";

/** What sets manifests apart from others: those that are new or gone as a whole, of the rest the lines that differ. */
export async function changes(
  before: readonly Manifest[],
  after: readonly Manifest[],
): Promise<string> {
  const name = ({ kind, metadata }: Manifest) => `${kind}/${metadata.name}`;
  const old = new Map(before.map((manifest) => [name(manifest), manifest]));
  const parts: string[] = [];
  for (const manifest of after) {
    const previous = old.get(name(manifest));
    old.delete(name(manifest));
    const text = stringify(manifest, { lineWidth: 0 });
    if (previous === undefined) parts.push(`### ${name(manifest)} is new\n${shortened(text)}`);
    else if (!Bun.deepEquals(previous, manifest)) {
      const diff = await difference(stringify(previous, { lineWidth: 0 }), text);
      parts.push(`### ${name(manifest)} differs\n${diff}`);
    }
  }
  parts.push(...Array.from(old.keys(), (gone) => `### ${gone} is not there\n`));
  return parts.join("\n");
}

/** Rules and dashboards are tested where they are made. */
function shortened(text: string): string {
  const lines = text.split("\n");
  return lines.length > 150
    ? [...lines.slice(0, 40), `# and ${lines.length - 40} lines`, ""].join("\n")
    : text;
}

async function difference(before: string, after: string): Promise<string> {
  await using folder = await tempDir("changes");
  await Promise.all([
    Bun.write(folder.file("before"), before),
    Bun.write(folder.file("after"), after),
  ]);
  const files = [folder.file("before"), folder.file("after")];
  const { stdout } = await run(["diff", "--unified=2", ...files], {});
  // Without the names of the files and the numbers of the lines, which say nothing of the change.
  return stdout
    .split("\n")
    .slice(2)
    .map((line) => (line.startsWith("@@") ? "@@" : line))
    .join("\n");
}
