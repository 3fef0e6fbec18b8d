import type { Daemon } from "../daemon.ts";
import { programOutput } from "../program-output.ts";

const TABLE =
  /\[plugins\.["']?(?:cri|io\.containerd\.grpc\.v1\.cri|io\.containerd\.cri\.v1\.images)["']?\.registry\]([^[]*)/;

/**
 * config_path as `containerd config dump` has it: containerd's own reading of the files, though not
 * its judgement. It shows settings on which CRI will not start, and from 2.2 on an empty config_path
 * where the running default is another. Undefined where it cannot be had.
 */
export function dumpedConfigPath(daemon: Daemon | undefined, main: string): string | undefined {
  const text = daemon && programOutput(daemon.executable, ["--config", main, "config", "dump"]);
  return /config_path = ['"](.*?)['"]/.exec(TABLE.exec(text ?? "")?.[1] ?? "")?.[1];
}
