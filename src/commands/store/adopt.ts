import { type Command, InvalidArgumentError } from "commander";
import { resolve } from "node:path";
import { z } from "zod";
import { adopt, type Adopted } from "../../cache/adoption/adoption.ts";
import { mustBeAdoptable } from "../../cache/adoption/registry-v2-layout.ts";
import { formatSize } from "../../config/parsing/units.ts";
import { parseUpstreamName, type UpstreamName } from "../../oci/names.ts";
import { type Progress, ProgressLine } from "../progress.ts";
import { counted } from "../table.ts";
import { followProgress } from "./follow-progress.ts";
import { onStore, print, printJson, storeCommand, type StoreOptions } from "./store-connection.ts";

const adoptedSchema = z.object({
  blobs: z.number(),
  bytes: z.number(),
  linked: z.number(),
  known: z.number(),
  corrupt: z.number(),
  failed: z.number(),
  failures: z.array(z.object({ path: z.string(), reason: z.string() })),
  repositories: z.number(),
  tags: z.number(),
  manifests: z.number(),
  omitted: z.number(),
  outside: z.number(),
});

interface AdoptOptions extends StoreOptions {
  readonly upstream: UpstreamName;
}

export function adoptCommand(): Command {
  return storeCommand("adopt", "take over the data of a registry:2, such as a proxy's cache")
    .argument("<folder>", "its rootdirectory, usually /var/lib/registry; it is not changed")
    .requiredOption(
      "--upstream <name>",
      "the registry that it was a proxy of, such as docker.io",
      parseUpstream,
    )
    .action(async (folder: string, options: AdoptOptions) => {
      process.exitCode = await runAdopt(folder, options);
    });
}

function parseUpstream(text: string): UpstreamName {
  const name = parseUpstreamName(text);
  if (name) return name;
  throw new InvalidArgumentError("Write a registry's name as images carry it, such as ghcr.io.");
}

function runAdopt(folder: string, options: AdoptOptions): Promise<number> {
  const source = { folder: resolve(folder), upstream: options.upstream };
  return onStore(
    options,
    async (connection, settings) => {
      const line = new ProgressLine();
      const onProgress = (progress: Progress): void => line.show(progress);
      const adopted =
        connection.kind === "running"
          ? await followProgress(
              await connection.client.send("adopt", source),
              adoptedSchema,
              onProgress,
            )
          : await adopt(connection.storage, settings.upstreams, { ...source, onProgress });
      line.end();
      if (options.json) printJson(adopted);
      else print(adoptedText(adopted, options.upstream));
      return adopted.corrupt + adopted.failed > 0 ? 1 : 0;
    },
    { mayCreate: ({ upstreams }) => mustBeAdoptable(source, upstreams) },
  );
}

function adoptedText(adopted: Adopted, name: UpstreamName): string {
  const { blobs, bytes, linked, known, repositories, tags, manifests, omitted, corrupt, outside } =
    adopted;
  const { failed, failures } = adopted;
  const how = blobs === 0 ? "" : ` (${linked} linked, ${blobs - linked} copied)`;
  const before = known > 0 ? `; ${known} were stored already` : "";
  const cached = `${counted(tags, "tag")} and ${counted(manifests, "manifest")} of ${counted(repositories, "repository", "repositories")}`;
  const lines = [
    `Adopted ${counted(blobs, "blob")}, ${formatSize(bytes)}${how}${before}.`,
    `${cached} are now cached for ${name}: run entrepot ls to see them.`,
  ];
  if (omitted > 0) {
    lines.push(
      `${counted(omitted, "blob")} did not fit: raise storage.maxSize, or free space on the disk.`,
    );
  }
  if (outside > 0) {
    lines.push(
      `${counted(outside, "symbolic link")} out of the folder ${outside === 1 ? "was" : "were"} not followed: move what they lead to into the folder, or mount it there.`,
    );
  }
  if (corrupt > 0) {
    const [was, it, is] = corrupt === 1 ? ["was", "it", "is"] : ["were", "they", "are"];
    lines.push(
      `${counted(corrupt, "blob")} ${was} skipped as corrupt: ${it} ${is} fetched from ${name} when requested.`,
    );
  }
  if (failed > 0) {
    lines.push(...failures.map(({ path, reason }) => `failed: ${path}: ${reason}`));
    const was = failed === 1 ? "was" : "were";
    lines.push(
      `${counted(failed, "file or folder", "files or folders")} ${was} left out: mend the reason, and run again. What is adopted by then is not read again.`,
    );
  }
  return lines.join("\n");
}
