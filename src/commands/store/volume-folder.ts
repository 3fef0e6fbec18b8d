import { type ExecFileException, execFile } from "node:child_process";
import { readdir, realpath, stat } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { isVolumeName } from "../../config/registry-data.ts";
import { secondsText } from "../../oci/seconds-text.ts";
import { printable } from "../../printable.ts";
import { describeSystemError, systemCode } from "../../store/storage-fault.ts";
import { CommandError } from "./store-connection.ts";

/** What may know a volume. All answer `volume inspect` in the same form. */
const ENGINES = ["docker", "podman", "nerdctl"] as const;
/** In milliseconds. A daemon that hangs must not hang the command. */
const TIMEOUT = 30_000;
/** In bytes. */
const MAX_OUTPUT = 1024 * 1024;

const inspected = z.tuple([
  z.object({
    Name: z.string(),
    Driver: z.string().optional(),
    Mountpoint: z.string(),
    Options: z.record(z.string(), z.string()).nullish(),
  }),
]);

interface Found {
  readonly kind: "found";
  readonly engine: string;
  readonly folder: string;
  /** What the engine mounts there while a container uses the volume, such as a share of a server. */
  readonly device: string | undefined;
}

type Answer =
  Found | { readonly kind: "unknown"; readonly engine: string; readonly reason: string };

/**
 * Finds the folder of a named volume. The engines are run as they are, without a shell.
 *
 * @param timeout how long an engine may take, in milliseconds
 * @throws CommandError if none knows it, or two know different ones
 */
export async function volumeFolder(
  volume: string,
  subpath = "",
  timeout = TIMEOUT,
): Promise<string> {
  if (!isVolumeName(volume)) throw new CommandError(`${printable(volume)} is no name of a volume`);
  const answers = await Promise.all(ENGINES.map((engine) => ask(engine, volume, timeout)));
  const found = answers.filter((answer) => answer?.kind === "found");
  const [first, ...others] = found;
  if (!first) throw new CommandError(nobodyKnows(volume, answers));
  const other = others.find(({ folder }) => folder !== first.folder);
  if (other) {
    throw new CommandError(
      `${first.engine} has the volume ${volume} at ${first.folder}, and ${other.engine} another one at ${other.folder}: write the right one as adopt: { folder: … }`,
    );
  }
  return inside(first, volume, subpath);
}

function nobodyKnows(volume: string, answers: readonly (Answer | undefined)[]): string {
  const reasons = answers.flatMap((answer) =>
    answer?.kind === "unknown" ? [`${answer.engine}: ${answer.reason}`] : [],
  );
  const why =
    reasons.length > 0 ? reasons.join("; ") : `none of ${ENGINES.join(", ")} is installed`;
  return `the folder of the volume ${volume} is not known (${why}). Its engine has to run, and to be asked as the user that it runs for; or write the folder as adopt: { folder: … }`;
}

/** Undefined if the engine is not installed. */
async function ask(engine: string, volume: string, timeout: number): Promise<Answer | undefined> {
  const { promise, resolve } = Promise.withResolvers<Answer | undefined>();
  const options = { maxBuffer: MAX_OUTPUT, encoding: "utf8", killSignal: "SIGKILL" } as const;
  const child = execFile(
    engine,
    ["volume", "inspect", volume],
    options,
    (error, stdout, stderr) => {
      if (!error) resolve(readAnswer(engine, volume, stdout));
      else if (systemCode(error) === "ENOENT") resolve(undefined);
      else resolve({ kind: "unknown", engine, reason: failureOf(error, stderr) });
    },
  );
  // Whatever the engine itself started may keep its output open, so nothing is waited for.
  const timer = setTimeout(() => {
    const reason = `it did not answer within ${secondsText(timeout / 1000)}`;
    resolve({ kind: "unknown", engine, reason });
    child.kill("SIGKILL");
    for (const output of [child.stdout, child.stderr]) output?.destroy();
    child.unref();
  }, timeout);
  return promise.finally(() => clearTimeout(timer));
}

function failureOf(error: ExecFileException, stderr: string): string {
  const said = stderr.trim().split("\n").at(-1);
  if (said) return printable(said);
  if (error.code === "ERR_CHILD_PROCESS_STDIO_MAXBUFFER") {
    return "its answer is not that of `volume inspect`";
  }
  if (error.signal) return `it was ended by ${error.signal}`;
  if (typeof error.code === "number") return `it ended with exit code ${error.code}`;
  return printable(describeSystemError(error));
}

function readAnswer(engine: string, volume: string, text: string): Answer {
  try {
    const [found] = inspected.parse(JSON.parse(text));
    const { Name: name, Driver: driver = "", Mountpoint: mountpoint, Options: options } = found;
    if (name !== volume) {
      return { kind: "unknown", engine, reason: `it answered with ${printable(name)}` };
    }
    const { o = "", device } = options ?? {};
    // A bind mount is at its mountpoint only while a container uses it.
    const isBind = o.split(",").some((option) => option === "bind" || option === "rbind");
    if (isBind && device?.startsWith("/")) {
      return { kind: "found", engine, folder: device, device: undefined };
    }
    if (path.isAbsolute(mountpoint)) return { kind: "found", engine, folder: mountpoint, device };
    const reason = `its driver, ${printable(driver)}, has no folder on this machine`;
    return { kind: "unknown", engine, reason };
  } catch {
    return { kind: "unknown", engine, reason: "its answer is not that of `volume inspect`" };
  }
}

async function inside(
  { engine, folder, device }: Found,
  volume: string,
  subpath: string,
): Promise<string> {
  try {
    if (!(await stat(folder)).isDirectory()) throw new CommandError(`${folder} is no folder`);
    const top = await realpath(folder);
    if (device !== undefined && (await readdir(top)).length === 0) {
      throw new CommandError(
        `the volume ${volume} is ${printable(device)}, which ${engine} mounts only while a container uses it: mount it yourself, and write that folder as adopt: { folder: … }`,
      );
    }
    const found = await realpath(path.join(top, subpath));
    if (found === top || found.startsWith(top + path.sep)) return found;
    throw new CommandError(`${printable(subpath)} leads out of the volume ${volume}`);
  } catch (error) {
    if (error instanceof CommandError) throw error;
    const reason = describeSystemError(error);
    const message = `${engine} has the volume ${volume} at ${printable(path.join(folder, subpath))}, which this machine cannot read: ${reason}`;
    throw new CommandError(message, { cause: error });
  }
}
