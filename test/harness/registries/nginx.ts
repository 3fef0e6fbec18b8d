import { mkdir, writeFile } from "node:fs/promises";
import { type ChildProcess, startProcess } from "../processes.ts";
import { freePort } from "../free-port.ts";
import { type TempDir } from "../temp-dir.ts";
import type { SignedCertificate } from "../services/certificate-authority.ts";

export interface NginxOptions {
  /** The URL to which it forwards requests. */
  readonly upstream: string;
  readonly server: SignedCertificate;
  /** The PEM file of the CA whose client certificates are accepted. */
  readonly clientAuthority: string;
}

/** Debian's nginx as a reverse proxy before a registry, with mutual TLS. */
export class Nginx implements AsyncDisposable {
  readonly address: string;
  readonly #process: ChildProcess;

  constructor(address: string, process: ChildProcess) {
    this.address = address;
    this.#process = process;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.stop();
  }
}

export async function startNginx(dir: TempDir, options: NginxOptions): Promise<Nginx> {
  const { upstream, server, clientAuthority } = options;
  const port = freePort();
  const folder = dir.file("nginx");
  await mkdir(folder);
  const file = `${folder}/nginx.conf`;
  await writeFile(
    file,
    `daemon off; pid ${folder}/pid; error_log stderr; worker_processes 1;
events {}
http {
  access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${server.certificateFile};
    ssl_certificate_key ${server.keyFile};
    ssl_client_certificate ${clientAuthority};
    ssl_verify_client on;
    location / { proxy_pass ${upstream}; proxy_set_header Host $http_host; proxy_buffering off; }
  }
}
`,
  );
  const child = await startProcess({
    name: "nginx",
    command: ["/usr/sbin/nginx", "-c", file, "-e", "stderr"],
    ready: async () => {
      const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
      socket.end();
      return true;
    },
  });
  return new Nginx(`127.0.0.1:${port}`, child);
}
