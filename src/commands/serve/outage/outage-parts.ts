import type { Status } from "../../../api/status.ts";
import type { Settings } from "../../../config/settings.ts";
import type { WantedImages } from "../../../readiness/wanted.ts";
import type { Operation } from "../../../server/api/operation.ts";
import type { RequestRecord } from "../../../server/pull/request-record.ts";
import { DrillParts, type DrillPartsOptions } from "./drill-parts.ts";
import { KubernetesParts, type KubernetesPartsOptions } from "./kubernetes-parts.ts";

/** What prepares for the outage of a registry: the cluster whose images are wanted then, and drills. */
export class OutageParts implements Disposable {
  readonly #kubernetes: KubernetesParts;
  readonly #drill: DrillParts;

  constructor(settings: Settings, options: KubernetesPartsOptions & DrillPartsOptions) {
    this.#kubernetes = new KubernetesParts(options);
    this.#drill = new DrillParts(options);
    this.configure(settings);
  }

  /** What the cluster runs, or would run. */
  get wanted(): WantedImages {
    return this.#kubernetes.wanted;
  }

  /** The cluster, for `status`. */
  get kubernetes(): Status["kubernetes"] {
    return this.#kubernetes.status;
  }

  /** The pods of the node with this address that have this image, as far as they are known. */
  podsOf(address: string, image: string): readonly string[] {
    return this.#kubernetes.podsOf(address, image);
  }

  get operations(): readonly Operation[] {
    return this.#drill.operations;
  }

  /** Records requests, and counts them in drills. */
  recording(record: (request: RequestRecord) => void): (request: RequestRecord) => void {
    return (request) => {
      record(request);
      this.#drill.record(request);
    };
  }

  configure({ kubernetes }: Settings): void {
    this.#kubernetes.configure(kubernetes);
  }

  [Symbol.dispose](): void {
    this.#kubernetes[Symbol.dispose]();
    this.#drill[Symbol.dispose]();
  }
}
