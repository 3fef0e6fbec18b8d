import { adoptionSchema, adoptJobSchema } from "../../../api/adoption.ts";
import type { Adopted } from "../../../cache/adoption/adopted.ts";
import type { AdoptOptions } from "../../../cache/adoption/adoption.ts";
import { parseUpstreamName } from "../../../oci/names.ts";
import type { Jobs } from "../jobs/job-table.ts";
import { operation, type Operation } from "../operation.ts";
import { ProblemError } from "../problem-details.ts";
import { accepted, LOCATION } from "./jobs.ts";
import { progressOf } from "./upkeep.ts";

export interface AdoptionParts {
  readonly adopt: (options: AdoptOptions) => Promise<Adopted>;
  readonly jobs: Jobs;
}

export function adoptionOperations({ adopt, jobs }: AdoptionParts): Operation[] {
  return [
    operation({
      id: "adopt",
      method: "POST",
      path: "/adopt",
      tag: "upkeep",
      summary: "Takes over what a registry:2 has stored in a folder",
      description: "A job. The folder is not changed.",
      right: "admin",
      body: adoptionSchema,
      status: 202,
      headers: LOCATION,
      refusals: [503],
      answer: adoptJobSchema,
      handle({ body: { upstream: name, folder, ...flags } }) {
        const upstream = parseUpstreamName(name);
        if (!upstream) {
          const detail = `${JSON.stringify(name)} is not a registry name`;
          const next = "write one as images carry it, such as ghcr.io";
          throw new ProblemError({ status: 400, detail, next });
        }
        return accepted(
          jobs.start({
            kind: "adopt",
            title: `Adopt ${folder} for ${upstream}`,
            run: (progress, signal) =>
              adopt({
                ...flags,
                folder,
                upstream,
                signal,
                onProgress: ({ of, ...made }) =>
                  progress(progressOf(made, { blobs: of.files, bytes: of.bytes })),
              }),
          }),
        );
      },
    }),
  ];
}
