import { certificateInfo } from "../../config/upstreams/certificates.ts";
import type { ServerIdentity } from "../../config/settings.ts";
import type { Log } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";

export interface PresentedCertificateOptions {
  readonly log: Log;
  readonly metrics: Metrics;
  /** Who verifies it, for messages. */
  readonly clients: "nodes" | "operators";
  /** The metric that says when it expires. */
  readonly expiration: { readonly name: string; readonly help: string };
}

/** The certificate that ports present, with what the log and the metrics say of it. */
export class PresentedCertificate {
  readonly #options: PresentedCertificateOptions;
  #current: ServerIdentity | undefined;

  /** @param current absent for ports without TLS */
  constructor(current: ServerIdentity | undefined, options: PresentedCertificateOptions) {
    this.#options = options;
    this.#current = current;
    if (current) this.#warn(current);
    const { name, help } = options.expiration;
    options.metrics.gauges(name, help, [], () =>
      this.#current
        ? [{ labels: [], value: certificateInfo(this.#current).to.getTime() / 1000 }]
        : [],
    );
  }

  get current(): ServerIdentity | undefined {
    return this.#current;
  }

  /**
   * Has another certificate presented to new connections. If that fails, the old one stays in use.
   *
   * @param present does so; it may throw
   */
  renew(tls: ServerIdentity, present: (tls: ServerIdentity) => void): void {
    const { log } = this.#options;
    if (this.#current?.certificate === tls.certificate && this.#current.key === tls.key) return;
    try {
      present(tls);
      this.#current = tls;
      const [certificate, expires] = [tls.certificateFile, certificateInfo(tls).to];
      log.info({ certificate, expires }, "certificate renewed");
      this.#warn(tls);
    } catch (err) {
      log.error({ err }, "certificate not renewed: the previous one stays in use");
    }
  }

  #warn(tls: ServerIdentity): void {
    const { from, to } = certificateInfo(tls);
    const [certificate, now] = [tls.certificateFile, Date.now()];
    const { log, clients } = this.#options;
    if (to.getTime() < now) {
      log.warn({ certificate, expired: to }, `the certificate has expired: ${clients} refuse it`);
    } else if (from.getTime() > now) {
      const message = `the certificate is not valid yet: ${clients} refuse it, or the clock is wrong`;
      log.warn({ certificate, from }, message);
    }
  }
}
