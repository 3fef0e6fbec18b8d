import { X509Certificate } from "node:crypto";
import type { ClusterProblems } from "./cluster-problems.ts";

const LOOK_INTERVAL_MS = 3_600_000;
const SUBJECT = "cluster.tls.certificate";

export interface CertificateWatchOptions {
  readonly problems: Pick<ClusterProblems, "notice" | "over">;
  /** In milliseconds of the epoch. */
  readonly now?: () => number;
}

/** Tells when the certificate that this replica shows to others is not valid, which only they see otherwise. */
export class CertificateWatch implements Disposable {
  #certificate: X509Certificate;
  readonly #options: CertificateWatchOptions;
  readonly #timer: ReturnType<typeof setInterval>;

  /** @param pem the certificate, followed by its intermediate certificates */
  constructor(pem: string, options: CertificateWatchOptions) {
    this.#certificate = new X509Certificate(pem);
    this.#options = options;
    this.#timer = setInterval(() => this.look(), LOOK_INTERVAL_MS).unref();
    this.look();
  }

  /** This replica shows another one from now on. */
  renew(pem: string): void {
    this.#certificate = new X509Certificate(pem);
    this.look();
  }

  look(): void {
    const { problems, now = Date.now } = this.#options;
    const { validFrom, validTo } = this.#certificate;
    if (now() < Date.parse(validFrom)) {
      problems.notice("own-certificate", SUBJECT, `not valid before ${validFrom}`);
    } else if (now() > Date.parse(validTo)) {
      problems.notice("own-certificate", SUBJECT, `expired on ${validTo}`);
    } else problems.over("own-certificate", SUBJECT);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
