import type { Daemon } from "../daemon.ts";
import { programOutput } from "../program-output.ts";

const TABLE =
  /\[plugins\.["']?(?:cri|io\.containerd\.grpc\.v1\.cri|io\.containerd\.cri\.v1\.images)["']?\.registry\]([^[]*)/;

/**
 * `config_path` in the output of `containerd config dump`: how containerd itself reads its files. The
 * dump validates nothing: it also shows settings with which CRI does not start, and from 2.2 on an empty
 * config_path although the running default differs. Undefined if there is no output.
 */
export function dumpedConfigPath(daemon: Daemon | undefined, main: string): string | undefined {
  const text = daemon && programOutput(daemon.executable, ["--config", main, "config", "dump"]);
  return /config_path = ['"](.*?)['"]/.exec(TABLE.exec(text ?? "")?.[1] ?? "")?.[1];
}
