import { type Command, InvalidArgumentError } from "commander";
import { adopt } from "../cache/keeping/adoption.ts";
import { formatSize } from "../config/units.ts";
import { parseUpstreamName, type UpstreamName } from "../oci/names.ts";
import { ProgressLine } from "./progress.ts";
import {
  CommandError,
  onStore,
  type PlaceOptions,
  print,
  printJson,
  storeCommand,
} from "./reach.ts";

interface Options extends PlaceOptions {
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
  return onStore(
    options,
    async (reached, settings) => {
      if (reached.kind !== "stopped") throw new CommandError("the cache runs");
      if (!settings.upstreams.has(options.upstream)) {
        const names = [...settings.upstreams.keys()].join(", ");
        const message = `${options.upstream} is not configured, so nobody could pull what it had. Configured are: ${names}`;
        throw new CommandError(message);
      }
      const line = new ProgressLine();
      const done = await adopt(reached.kept, {
        folder,
        upstream: options.upstream,
        onProgress: (progress) => line.show(progress),
      });
      line.end();
      if (options.json) {
        printJson(done);
        return done.corrupt > 0 ? 1 : 0;
      }
      print(
        `Took over ${done.blobs} contents, ${formatSize(done.bytes)} (${done.linked} linked, ${done.blobs - done.linked} copied); ${done.known} were here already.`,
      );
      print(
        `${done.tags} tags and ${done.manifests} manifests of ${done.repositories} repositories are now known under ${options.upstream}.`,
      );
      if (done.omitted > 0) print(`${done.omitted} did not fit: raise storage.maxSize.`);
      if (done.corrupt > 0) {
        print(
          `${done.corrupt} are not what their names say, and were left out: they are fetched anew.`,
        );
      }
      return done.corrupt > 0 ? 1 : 0;
    },
    { needsStopped: true },
  );
}
