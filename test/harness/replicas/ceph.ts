import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FileAccessKeys } from "../../../src/cluster/s3/access-keys.ts";
import { Bucket } from "../../../src/cluster/s3/bucket.ts";
import { S3Requests } from "../../../src/cluster/s3/s3-requests.ts";
import { makeCertificate } from "../services/certificates.ts";
import { freePort } from "../free-port.ts";
import { type ChildProcess, mustRun, startProcess } from "../processes.ts";
import { type TempDir, tempDir } from "../temp-dir.ts";

const NAMES = `
  ceph-base ceph-common ceph-mon ceph-osd radosgw librados2 librgw2 libradosstriper1 libaio1
  libboost-context1.74.0 libboost-filesystem1.74.0 libboost-iostreams1.74.0
  libboost-program-options1.74.0 libboost-thread1.74.0 libdaxctl1 libfmt9 libfuse2 libibverbs1
  libleveldb1d liblua5.3-0 libndctl6 libnl-3-200 libnl-route-3-200 liboath0 libpmem1 librabbitmq4
  librdmacm1 libsnappy1v5 libcurl3-gnutls librtmp1 libssh2-1 libpsl5 libnghttp2-14 libbrotli1
  libldap-2.5-0 libsasl2-2 libicu72 libexpat1 libgssapi-krb5-2 libkrb5-3 libk5crypto3
  libkrb5support0 libkeyutils1 libkmod2 libgoogle-perftools4 libtcmalloc-minimal4
`;

/** For `unpackedTests`: what the three programs of Ceph need beside a minimal Debian. */
export const CEPH_PACKAGES = { suite: "bookworm", packages: NAMES.trim().split(/\s+/) };

const USER = "entrepot";

/** Ceph's object store with its S3 gateway: a monitor, a storage daemon in memory, and radosgw. */
export class Ceph implements AsyncDisposable {
  readonly accessKey = "AKIAENTREPOT";
  readonly secretKey = randomBytes(20).toString("hex");
  readonly #tree: string;
  readonly #dir: TempDir;
  readonly #fsid = crypto.randomUUID();
  readonly #monitorPort = freePort();
  readonly #port = freePort();
  readonly #tlsPort = freePort();
  readonly #running = new AsyncDisposableStack();
  #gateway: ChildProcess | undefined;

  constructor(tree: string, dir: TempDir) {
    this.#tree = tree;
    this.#dir = dir;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** The same over HTTPS, with a certificate that is its own CA. */
  get secureUrl(): string {
    return `https://localhost:${this.#tlsPort}`;
  }

  get certificateFile(): string {
    return this.#dir.file("certificate.pem");
  }

  /** The files of the access keys, as `cluster.store` names them. */
  get keyFiles(): { readonly accessKeyFile: string; readonly secretKeyFile: string } {
    return {
      accessKeyFile: this.#dir.file("access-key"),
      secretKeyFile: this.#dir.file("secret-key"),
    };
  }

  async start(): Promise<void> {
    await this.#writeFiles();
    const files = ["monmap", "osdmap", "keyring"].map((name) => this.#dir.file(name));
    const [monmap = "", osdmap = "", keyring = ""] = files;
    const mon = ["--addv", "a", `[v2:127.0.0.1:${this.#monitorPort}]`];
    await this.#run("monmaptool", ["--create", "--fsid", this.#fsid, ...mon, monmap]);
    await this.#run("osdmaptool", ["--createsimple", "1", osdmap]);
    const maps = ["--monmap", monmap, "--osdmap", osdmap, "--keyring", keyring];
    await this.#run("ceph-mon", ["-i", "a", "--mkfs", ...maps]);
    await this.#daemon("ceph-mon", ["-i", "a"]);
    await this.#run("ceph-osd", ["-i", "0", "--mkfs", "--osd-uuid", crypto.randomUUID()]);
    await this.#daemon("ceph-osd", ["-i", "0"]);
    const keys = ["--access-key", this.accessKey, "--secret-key", this.secretKey];
    await this.admin("user", "create", "--uid", USER, "--display-name", USER, ...keys);
    await this.startGateway();
  }

  /** Runs radosgw-admin, and returns what it prints. */
  admin(...args: string[]): Promise<string> {
    return this.#run("radosgw-admin", ["-n", "client.rgw", ...args]);
  }

  async createBucket(name: string): Promise<void> {
    // Bun's client has no call for it: an object without a name is the bucket.
    await this.client(name, true).write(name, "");
  }

  /** Reads and writes objects of a bucket. */
  client(bucket: string, virtualHostedStyle = false): Bun.S3Client {
    const keys = { accessKeyId: this.accessKey, secretAccessKey: this.secretKey };
    return new Bun.S3Client({ ...keys, endpoint: this.url, bucket, virtualHostedStyle });
  }

  /** The files of the keys of somebody who may read a bucket, and not write to it. */
  async reader(bucket: string): Promise<Ceph["keyFiles"]> {
    const [accessKey, secretKey] = ["AKIAREADER", randomBytes(20).toString("hex")];
    const keys = ["--access-key", accessKey, "--secret-key", secretKey];
    await this.admin("user", "create", "--uid", "reader", "--display-name", "reader", ...keys);
    const files = {
      accessKeyFile: this.#dir.file("reader-access-key"),
      secretKeyFile: this.#dir.file("reader-secret-key"),
    };
    await writeFile(files.accessKeyFile, accessKey);
    await writeFile(files.secretKeyFile, secretKey);
    const policy = {
      Version: "2012-10-17",
      Statement: [
        {
          Effect: "Allow",
          Principal: { AWS: ["arn:aws:iam:::user/reader"] },
          Action: ["s3:GetObject", "s3:ListBucket"],
          Resource: [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`],
        },
      ],
    };
    const at = new Bucket({ url: new URL(bucket, this.url), isPathStyle: true });
    const owner = new FileAccessKeys("ceph", this.keyFiles);
    const requests = new S3Requests({ bucket: at, region: "us-east-1", keys: owner });
    const request = { method: "PUT", action: "PutBucketPolicy", timeoutMs: 10_000 } as const;
    const url = at.bucketUrl({ policy: "" });
    const body = (): string => JSON.stringify(policy);
    const { status } = await requests.send({ ...request, url, body });
    if (status >= 300) throw new Error(`the policy was refused: ${status}`);
    requests.close();
    return files;
  }

  /** Limits what all buckets of the user may hold, in bytes; -1 is no limit. */
  async setQuota(bytes: number): Promise<void> {
    const of = ["--quota-scope", "user", "--uid", USER];
    await this.admin("quota", "set", ...of, "--max-size", String(bytes));
    await this.admin("quota", bytes < 0 ? "disable" : "enable", ...of);
  }

  async startGateway(): Promise<void> {
    this.#gateway = await startProcess({
      name: "radosgw",
      command: this.#command("radosgw", ["-n", "client.rgw", "-f"]),
      env: this.#env,
      ready: async () => {
        const { status } = await fetch(this.url, { signal: AbortSignal.timeout(1000) });
        return status > 0;
      },
    });
  }

  /** The gateway accepts connections and answers nothing, until `thaw`. */
  freeze(): void {
    this.#gateway?.signal("SIGSTOP");
  }

  thaw(): void {
    this.#gateway?.signal("SIGCONT");
  }

  /** The gateway is gone, until `startGateway`. */
  async kill(): Promise<void> {
    await this.#gateway?.stop("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.thaw();
    await this.kill();
    await this.#running.disposeAsync();
    await this.#dir[Symbol.asyncDispose]();
  }

  async #daemon(program: string, args: readonly string[]): Promise<void> {
    const started = await startProcess({
      name: program,
      command: this.#command(program, [...args, "-f"]),
      env: this.#env,
      // Whoever needs it waits for it.
      ready: () => true,
    });
    this.#running.defer(async () => {
      await started.stop("SIGKILL");
    });
  }

  #run(program: string, args: readonly string[]): Promise<string> {
    return mustRun(this.#command(program, args), { env: this.#env });
  }

  #command(program: string, args: readonly string[]): string[] {
    return [join(this.#tree, "usr/bin", program), ...args];
  }

  get #env(): Record<string, string> {
    const libraries = join(this.#tree, "usr/lib/x86_64-linux-gnu");
    const path = [join(this.#tree, "lib/x86_64-linux-gnu"), libraries, join(libraries, "ceph")];
    return { CEPH_CONF: this.#dir.file("ceph.conf"), LD_LIBRARY_PATH: path.join(":") };
  }

  async #writeFiles(): Promise<void> {
    const file = (name: string): string => this.#dir.file(name);
    await Promise.all(["mon", "osd", "run"].map((name) => mkdir(file(name), { recursive: true })));
    const names = ["mon.", "client.admin", "client.rgw", "osd.0"];
    const caps = ["mon", "osd", "mgr"].map((kind) => `\tcaps ${kind} = "allow *"\n`).join("");
    const keyring = names.map((name) => `[${name}]\n\tkey = ${cephKey()}\n${caps}`).join("");
    await writeFile(file("keyring"), keyring);
    await writeFile(this.keyFiles.accessKeyFile, `${this.accessKey}\n`);
    await writeFile(this.keyFiles.secretKeyFile, `${this.secretKey}\n`);
    await writeFile(file("ceph.conf"), this.#configuration());
    await makeCertificate(this.#dir);
  }

  #configuration(): string {
    const dir = this.#dir.path;
    const libraries = join(this.#tree, "usr/lib/x86_64-linux-gnu");
    const tls = `ssl_endpoint=127.0.0.1:${this.#tlsPort} ssl_certificate=${this.certificateFile} ssl_private_key=${dir}/key.pem`;
    return `[global]
fsid = ${this.#fsid}
mon host = v2:127.0.0.1:${this.#monitorPort}
public addr = 127.0.0.1
ms bind msgr1 = false
run dir = ${dir}/run
admin socket = ${dir}/run/$name.asok
log file = ${dir}/$name.log
pid file = ${dir}/run/$name.pid
crash dir = ${dir}/run
keyring = ${dir}/keyring
erasure code dir = ${libraries}/ceph/erasure-code
plugin dir = ${libraries}/ceph
osd class dir = ${libraries}/rados-classes
osd objectstore = memstore
memstore device bytes = 4294967296
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 1
mon data avail warn = 2
# A cluster of one takes no time to agree.
paxos propose interval = 0.05
paxos min wait = 0.01
# The gateway that takes the place of a killed one waits for its watches.
osd client watch timeout = 3
objecter tick interval = 0.5
objecter timeout = 1
[mon.a]
mon data = ${dir}/mon
[osd.0]
osd data = ${dir}/osd
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:${this.#port} ${tls} tcp_nodelay=1
rgw data = ${dir}/run
# A bucket is a part of the path, or of a host name below this one.
rgw dns name = localhost
# Quotas hold at once.
rgw bucket quota ttl = 0
rgw user quota bucket sync interval = 0
rgw bucket quota cache size = 0
`;
  }
}

/** @param tree the folder into which `CEPH_PACKAGES` are unpacked */
export async function startCeph(tree: string): Promise<Ceph> {
  const ceph = new Ceph(tree, await tempDir("ceph"));
  try {
    await ceph.start();
    return ceph;
  } catch (error) {
    await ceph[Symbol.asyncDispose]();
    throw error;
  }
}

/** A secret of cephx: its type, when it was made, and 16 bytes with their length (CryptoKey::encode). */
function cephKey(): string {
  const head = Buffer.alloc(12);
  head.writeUInt16LE(1, 0);
  head.writeUInt32LE(Math.floor(Date.now() / 1000), 2);
  head.writeUInt16LE(16, 10);
  return Buffer.concat([head, randomBytes(16)]).toString("base64");
}
