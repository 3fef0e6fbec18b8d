import { ImageInspector } from "../../cache/inspection/image-details.ts";
import { ImagePages } from "../../cache/inspection/image-pages.ts";
import type { Storage } from "../../cache/retention/storage.ts";
import type { Concealment } from "../api/concealment.ts";
import type { Failures } from "../api/failures.ts";
import type { Operation, Right } from "../api/operation.ts";
import { type AdoptionParts, adoptionOperations } from "../api/operations/adoption.ts";
import {
  type ConfigurationParts,
  configurationOperations,
} from "../api/operations/configuration.ts";
import { documentOperations } from "../api/operations/document.ts";
import { type ImageParts, imageOperations } from "../api/operations/images.ts";
import { jobOperations } from "../api/operations/jobs.ts";
import { Orders, type TellReplicas } from "../api/operations/orders.ts";
import { pinOperations, type PinParts } from "../api/operations/pins.ts";
import { purgeOperations } from "../api/operations/purge.ts";
import { type SharedStoreParts, sharedStoreOperations } from "../api/operations/shared-store.ts";
import { type StatusParts, statusOperations } from "../api/operations/status.ts";
import { type StorageParts, storageOperations } from "../api/operations/storage.ts";
import { upkeepOperations } from "../api/operations/upkeep.ts";
import { Router } from "../api/router.ts";
import { SurveyLimit } from "../api/survey-limit.ts";

export interface AdminApiOptions
  extends
    AdoptionParts,
    SharedStoreParts,
    StatusParts,
    ConfigurationParts,
    Pick<StorageParts, "version">,
    Pick<ImageParts, "pulled">,
    Pick<PinParts, "listsOf"> {
  readonly storage: Pick<Storage, "admin" | "lastAccess" | "metadata" | "path">;
  /** Has other replicas do what was done here; absent if there are none. */
  readonly tellReplicas?: TellReplicas | undefined;
  readonly failures: Failures;
  /** For whoever may only read; absent where nothing can be private. */
  readonly concealment?: Concealment | undefined;
  /** Those of other parts of the cache. */
  readonly operations?: readonly Operation[];
}

/** The API for operators of a running cache, at `/api/v1/`. */
export class AdminApi {
  readonly #router: Router;
  readonly failures: Failures;

  constructor(options: AdminApiOptions) {
    const { storage, version } = options;
    const { admin, lastAccess, metadata } = storage;
    const { images, trees } = admin;
    const pages = new ImagePages({ images, metadata });
    const survey = () => pages.survey(true);
    const parts = {
      ...options,
      admin,
      dataDirectory: storage.path,
      orders: new Orders({ admin, tellReplicas: options.tellReplicas }),
      pages,
      inspector: new ImageInspector({ images, trees, metadata, survey }),
      surveys: new SurveyLimit(),
      flushAccessTimes: () => lastAccess.flush(),
    };
    this.#router = new Router(
      [
        ...statusOperations(parts),
        ...storageOperations(parts),
        ...imageOperations(parts),
        ...purgeOperations(parts),
        ...pinOperations(parts),
        ...upkeepOperations(parts),
        ...adoptionOperations(parts),
        ...sharedStoreOperations(parts),
        ...configurationOperations(parts),
        ...(options.operations ?? []),
        ...jobOperations(parts.jobs),
        ...documentOperations(version, () => this.#router.operations),
      ],
      options.failures,
      options.concealment,
    );
    this.failures = options.failures;
  }

  get operations(): readonly Operation[] {
    return this.#router.operations;
  }

  /**
   * @param right what the client's token allows; everything where none is needed
   * @param onReceived called once the request was received whole, before it is carried out
   */
  handle(request: Request, right: Right, onReceived?: () => void): Promise<Response> {
    return this.#router.respond(request, right, onReceived);
  }
}
