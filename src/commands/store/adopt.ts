import { type Command, InvalidArgumentError } from "commander";
import { resolve } from "node:path";
import { z } from "zod";
import { adopt, type Adopted } from "../../cache/retention/adoption.ts";
import { mustBeAdoptable } from "../../cache/retention/registry-v2-layout.ts";
import { formatSize } from "../../config/parsing/units.ts";
import { parseUpstreamName, type UpstreamName } from "../../oci/names.ts";
import { type Done, ProgressLine } from "../progress.ts";
import { followed } from "./follow-progress.ts";
import { onStore, type StoreOptions, print, printJson, storeCommand } from "./store-connection.ts";
import { counted } from "../table.ts";

const form = z.object({
  blobs: z.number(),
  bytes: z.number(),
  linked: z.number(),
  known: z.number(),
  corrupt: z.number(),
  repositories: z.number(),
  tags: z.number(),
  manifests: z.number(),
  omitted: z.number(),
});

interface Options extends StoreOptions {
  readonly upstream: UpstreamName;
}

export function adoptCommand(): Command {
  return storeCommand("adopt", "take over what a registry:2 has stored, such as a proxy's cache")
    .argument("<folder>", "its rootdirectory, most often /var/lib/registry; it is not changed")
    .requiredOption("--upstream <name>", "the registry that it was a proxy of: docker.io", upstream)
    .action(async (folder: string, options: Options) => {
      process.exitCode = await run(folder, options);
    });
}

function upstream(text: string): UpstreamName {
  const name = parseUpstreamName(text);
  if (name) return name;
  throw new InvalidArgumentError("Write a registry's name as images carry it, such as ghcr.io.");
}

function run(folder: string, options: Options): Promise<number> {
  const asked = { folder: resolve(folder), upstream: options.upstream };
  return onStore(
    options,
    async (reached, settings) => {
      const line = new ProgressLine();
      const onProgress = (done: Done): void => line.show(done);
      const done =
        reached.kind === "running"
          ? await followed(await reached.client.send("adopt", asked), form, onProgress)
          : await adopt(reached.storage, settings.upstreams, { ...asked, onProgress });
      line.end();
      if (options.json) printJson(done);
      else report(done, options.upstream);
      return done.corrupt > 0 ? 1 : 0;
    },
    { mayCreate: ({ upstreams }) => mustBeAdoptable(asked, upstreams) },
  );
}

function report(done: Adopted, name: UpstreamName): void {
  const { blobs, bytes, linked, known, repositories, tags, manifests, omitted, corrupt } = done;
  const how = blobs === 0 ? "" : ` (${linked} linked, ${blobs - linked} copied)`;
  const before = known > 0 ? `; ${known} were here already` : "";
  print(`Took over ${counted(blobs, "content")}, ${formatSize(bytes)}${how}${before}.`);
  print(
    `${counted(tags, "tag")} and ${counted(manifests, "manifest")} of ${counted(repositories, "repository", "repositories")} are now known under ${name}. entrepot ls shows them.`,
  );
  if (omitted > 0) {
    print(
      `${counted(omitted, "content")} did not fit: raise storage.maxSize, or make room on the disk.`,
    );
  }
  if (corrupt > 0) {
    const [are, they] =
      corrupt === 1
        ? ["is not what its name says, and was", "it is"]
        : ["are not what their names say, and were", "they are"];
    print(`${counted(corrupt, "content")} ${are} left out: ${they} fetched anew.`);
  }
}
