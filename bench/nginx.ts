import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { OCI_MANIFEST } from "../src/oci/media-types.ts";
import type { StartOptions } from "./start-options.ts";

/** The configuration common to both: one worker per core, sendfile, keep-alive. */
function server(options: StartOptions, port: number, http: string, locations: string): string {
  const { tls } = options;
  const certificate = tls
    ? `    ssl_certificate ${tls.certificateFile};\n    ssl_certificate_key ${tls.keyFile};\n`
    : "";
  return `daemon off;
user root;
worker_processes auto;
pid ${options.scratch.file(`nginx-${port}.pid`)};
error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  open_file_cache max=1000 inactive=60s;
  default_type application/octet-stream;
  client_body_temp_path ${options.scratch.file("body")};
  proxy_temp_path ${options.scratch.file("proxy")};
  fastcgi_temp_path ${options.scratch.file("fastcgi")};
  uwsgi_temp_path ${options.scratch.file("uwsgi")};
  scgi_temp_path ${options.scratch.file("scgi")};
${http}
  server {
    listen 127.0.0.1:${port} ${tls ? "ssl " : ""}backlog=4096;
${certificate}    location = /ready { return 200; }
${locations}
  }
}
`;
}

/** Serves the same bytes as static files: an upper bound for any server on this machine. */
export async function nginxStatic(options: StartOptions, port: number): Promise<string> {
  const { large, herd, layer, small, manifest } = options.blobs;
  const root = join(options.data, "v2/bench/app");
  await mkdir(join(root, "blobs"), { recursive: true });
  await mkdir(join(root, "manifests"), { recursive: true });
  for (const blob of [large, herd, layer, small])
    await write(join(root, "blobs", blob.digest), blob);
  for (const name of ["1", manifest.digest]) await write(join(root, "manifests", name), manifest);
  const type = `    location /v2/bench/app/manifests/ { default_type ${OCI_MANIFEST}; }`;
  return server(options, port, "", `    root ${options.data};\n${type}`);
}

async function write(file: string, content: { chunks(): Iterable<Uint8Array> }): Promise<void> {
  if (await Bun.file(file).exists()) return;
  const writer = Bun.file(file).writer();
  for (const chunk of content.chunks()) {
    await writer.write(chunk);
    await writer.flush();
  }
  await writer.end();
}

/**
 * The usual configuration for caching large files: slices, each fetched once (`proxy_cache_lock`).
 */
export async function nginxCache(options: StartOptions, port: number): Promise<string> {
  const path = join(options.data, "cache");
  const http = `  proxy_cache_path ${path} keys_zone=bench:10m max_size=20g inactive=1d;
  upstream registry { server ${new URL(options.upstream).host}; keepalive 32; }`;
  const shared = `      proxy_pass http://registry;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_cache bench;
      proxy_cache_lock on;
      proxy_cache_lock_timeout 60s;
      proxy_cache_valid 200 206 1h;`;
  const locations = `    location /v2/bench/app/blobs/ {
      slice 4m;
      proxy_set_header Range $slice_range;
      proxy_cache_key $uri$slice_range;
${shared}
    }
    location /v2/ {
      proxy_cache_key $uri$http_accept;
${shared}
    }`;
  return server(options, port, http, locations);
}
