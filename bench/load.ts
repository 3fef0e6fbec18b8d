import { fileURLToPath } from "node:url";
import { z } from "zod";
import { mustRun, run } from "../test/harness/processes.ts";
import { cpuSeconds, processTree } from "./kernel.ts";

/** The `Accept` header that containerd sends. */
const ACCEPT =
  "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*";

export interface SmallLoad {
  readonly requestsPerSecond: number;
  /** In milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** The server's CPU time per request, in microseconds. */
  readonly cpuMicroseconds: number;
}

/** Sends as many requests as possible over 32 connections. */
export async function smallLoad(
  url: string,
  pid: number,
  seconds: number,
  headers: readonly string[] = [],
): Promise<SmallLoad> {
  const pids = processTree(pid);
  const before = cpuSeconds(pids);
  const args = ["-t1", "-c32", `-d${seconds}s`, "--latency", "-H", `Accept: ${ACCEPT}`];
  const more = headers.flatMap((header) => ["-H", header]);
  const { code, stdout, stderr } = await run(["wrk", ...args, ...more, url]);
  const cpuUsed = cpuSeconds(pids) - before;
  const failed = /Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1];
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1] ?? 0);
  if (code !== 0 || requests === 0) throw new Error(`wrk ${url}: ${stdout}${stderr}`);
  // Only successful responses count: some caches reject requests under load.
  const successful = requests - Number(failed ?? 0);
  const rate = Number(/Requests\/sec:\s*([\d.]+)/.exec(stdout)?.[1] ?? 0);
  return {
    requestsPerSecond: (rate * successful) / requests,
    p50: latency(stdout, 50),
    p99: latency(stdout, 99),
    cpuMicroseconds: (cpuUsed * 1e6) / requests,
  };
}

function latency(output: string, percentile: number): number {
  const match = new RegExp(`^\\s+${percentile}%\\s+([\\d.]+)(us|ms|s)$`, "m").exec(output);
  const unit = { us: 0.001, ms: 1, s: 1000 }[match?.[2] ?? "ms"] ?? 1;
  return Number(match?.[1] ?? 0) * unit;
}

export interface Download {
  /** Milliseconds from the start to the first and to the last byte of the body. */
  readonly first: number;
  readonly last: number;
  readonly bytes: number;
}

export interface Downloads {
  readonly each: readonly Download[];
  /** From the start of the first download to the end of the last. */
  readonly seconds: number;
  /** The server's CPU time. */
  readonly cpuSeconds: number;
}

/**
 * Runs concurrent clients, each a curl process that downloads `url` `times` times and discards it.
 */
export async function download(
  url: string,
  pid: number,
  { clients, times = 1 }: { clients: number; times?: number },
): Promise<Downloads> {
  const pids = processTree(pid);
  const before = cpuSeconds(pids);
  const startedAt = performance.now();
  const transfer = ["-o", "/dev/null", url];
  const format = "%{http_code} %{time_starttransfer} %{time_total} %{size_download}\\n";
  const all = await Promise.all(
    Array.from({ length: clients }, () =>
      run([
        "curl",
        "-sS",
        "-k",
        "-H",
        `Accept: ${ACCEPT}`,
        "-w",
        format,
        ...Array.from({ length: times }, () => transfer).flat(),
      ]),
    ),
  );
  const seconds = (performance.now() - startedAt) / 1000;
  const cpuUsed = cpuSeconds(pids) - before;
  const each = all.flatMap(({ code, stdout, stderr }) => {
    if (code !== 0) throw new Error(`curl ${url} exited with ${code}: ${stdout}${stderr}`);
    return stdout
      .trim()
      .split("\n")
      .map((line) => {
        const [status, first, last, bytes] = line.split(" ").map(Number);
        if (status !== 200) throw new Error(`${url} returned ${status}`);
        return { first: (first ?? 0) * 1000, last: (last ?? 0) * 1000, bytes: bytes ?? 0 };
      });
  });
  return { each, seconds, cpuSeconds: cpuUsed };
}

const HERD_CLIENTS = fileURLToPath(new URL("herd-clients.ts", import.meta.url));

/** Runs clients that start at the same moment, each with one download of at least `size` bytes. */
export async function downloadConcurrently(
  url: string,
  pid: number,
  { clients, size }: { clients: number; size: number },
): Promise<Downloads> {
  const pids = processTree(pid);
  const before = cpuSeconds(pids);
  const output = await mustRun([process.execPath, HERD_CLIENTS, url, String(clients)]);
  const each = z.array(downloadSchema).parse(JSON.parse(output));
  const cpuUsed = cpuSeconds(pids) - before;
  // More bytes than `size` are possible: the chunked transfer coding adds some.
  const short = each.find(({ bytes }) => bytes < size);
  if (short) throw new Error(`${url} ended after ${short.bytes} of ${size} bytes`);
  return { each, seconds: Math.max(...each.map(({ last }) => last)) / 1000, cpuSeconds: cpuUsed };
}

const downloadSchema = z.object({ first: z.number(), last: z.number(), bytes: z.number() });
