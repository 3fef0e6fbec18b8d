import type { Goal } from "./results.ts";

const herd = "cold herd, 20 at once";

/**
 * Entrepot's performance goals, most of them relative to another cache measured in the same run.
 */
export const GOALS: readonly Goal[] = [
  {
    workload: "256 MiB hit, 4 at once",
    figure: "GB/s",
    against: "nginx-static",
    atLeast: 0.95,
  },
  {
    workload: "256 MiB hit, 4 at once",
    figure: "CPU s per GB",
    against: "nginx-static",
    atMost: 1.5,
  },
  {
    workload: "256 MiB hit, 4 at once",
    figure: "CPU s per GB",
    against: "docker-registry",
    atMost: 0.3,
  },
  { workload: "10 KiB hit", figure: "requests/s", against: "nginx-static", atLeast: 0.5 },
  { workload: "10 KiB hit", figure: "requests/s", against: "docker-registry", atLeast: 30 },
  {
    workload: "manifest by fresh tag",
    figure: "requests/s",
    against: "docker-registry",
    atLeast: 60,
  },
  { workload: "manifest by fresh tag", figure: "p99 ms", atMost: 3 },
  {
    workload: "TLS: 256 MiB hit, 4 at once",
    figure: "GB/s",
    against: "nginx-static",
    atLeast: 0.95,
  },
  {
    workload: "TLS: 256 MiB hit, 4 at once",
    figure: "CPU s per GB",
    against: "nginx-static",
    atMost: 1.5,
  },
  { workload: "TLS: memory", figure: "peak MB", atMost: 150 },
  { workload: herd, figure: "upstream GETs", atMost: 1 },
  { workload: herd, figure: "upstream bytes over unique", atMost: 1.01 },
  { workload: herd, figure: "last byte over direct", atMost: 1.15 },
  { workload: herd, figure: "last follower's first byte after, ms", atMost: 60 },
  { workload: herd, figure: "peak MB", atMost: 150 },
  { workload: "40 layers, cold", figure: "seconds", against: "direct", atMost: 1.1 },
  { workload: "40 layers, warm", figure: "peak MB", atMost: 150 },
  { workload: "start with 100,000 blobs", figure: "first response ms", atMost: 200 },
  {
    workload: "start with 100,000 blobs",
    figure: "first response ms",
    system: "executable",
    atMost: 200,
  },
  { workload: "memory of hits", figure: "peak MB", atMost: 150 },
  { workload: "soak", figure: "memory, last over first third", atMost: 1.1 },
  { workload: "soak", figure: "peak MB", atMost: 150 },
  { workload: "hits during a fill", figure: "p99 filling over idle", atMost: 2 },
  { workload: "hits during a fill", figure: "peak MB", atMost: 150 },
  { workload: "hits beside 2000 misses", figure: "p99 ms, misses", atMost: 20 },
  { workload: "hits beside 2000 misses", figure: "max ms, misses", atMost: 100 },
  { workload: "10 KiB hits during an eviction", figure: "p99 evicting over idle", atMost: 2 },
  { workload: "16 MiB hits during an eviction", figure: "p99 evicting over idle", atMost: 2 },
];
