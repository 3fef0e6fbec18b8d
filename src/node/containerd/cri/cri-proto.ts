import type { PackageDefinition } from "@grpc/proto-loader";
import { fromJSON } from "@grpc/proto-loader";

type Field = readonly [type: string, id: number, shape?: "repeated" | "map"];

function message(fields: Readonly<Record<string, Field>>) {
  return {
    fields: Object.fromEntries(
      Object.entries(fields).map(([name, [type, id, shape]]) => [
        name,
        {
          type,
          id,
          ...(shape === "repeated" ? { rule: "repeated" } : {}),
          ...(shape === "map" ? { keyType: "string" } : {}),
        },
      ]),
    ),
  };
}

function service(methods: readonly string[]) {
  return {
    methods: Object.fromEntries(
      methods.map((name) => [
        name,
        { requestType: `${name}Request`, responseType: `${name}Response`, comment: "" },
      ]),
    ),
  };
}

/**
 * The messages that are used here, from runtime/v1/api.proto of k8s.io/cri-api and from containerd's
 * version and introspection services. They are part of the program, because a single executable has no
 * directory of .proto files beside it.
 */
export const packageDefinition: PackageDefinition = fromJSON(
  {
    nested: {
      runtime: {
        nested: {
          v1: {
            nested: {
              RuntimeService: service(["Version", "Status"]),
              ImageService: service(["ListImages", "ImageStatus", "PullImage", "RemoveImage"]),
              VersionRequest: message({ version: ["string", 1] }),
              VersionResponse: message({
                version: ["string", 1],
                runtime_name: ["string", 2],
                runtime_version: ["string", 3],
                runtime_api_version: ["string", 4],
              }),
              StatusRequest: message({ verbose: ["bool", 1] }),
              StatusResponse: message({ info: ["string", 2, "map"] }),
              ImageSpec: message({ image: ["string", 1] }),
              Image: message({
                id: ["string", 1],
                repo_tags: ["string", 2, "repeated"],
                repo_digests: ["string", 3, "repeated"],
                size: ["uint64", 4],
              }),
              ListImagesRequest: message({}),
              ListImagesResponse: message({ images: ["Image", 1, "repeated"] }),
              ImageStatusRequest: message({ image: ["ImageSpec", 1] }),
              ImageStatusResponse: message({ image: ["Image", 1] }),
              PullImageRequest: message({ image: ["ImageSpec", 1] }),
              PullImageResponse: message({ image_ref: ["string", 1] }),
              RemoveImageRequest: message({ image: ["ImageSpec", 1] }),
              RemoveImageResponse: message({}),
            },
          },
        },
      },
      containerd: {
        nested: {
          services: {
            nested: {
              introspection: {
                nested: {
                  v1: {
                    nested: {
                      Introspection: service(["Plugins"]),
                      PluginsRequest: message({ filters: ["string", 1, "repeated"] }),
                      PluginsResponse: message({ plugins: ["Plugin", 1, "repeated"] }),
                      Plugin: message({
                        type: ["string", 1],
                        id: ["string", 2],
                        init_err: ["Status", 7],
                      }),
                      // google.rpc.Status.
                      Status: message({ code: ["int32", 1], message: ["string", 2] }),
                    },
                  },
                },
              },
              version: {
                nested: {
                  v1: {
                    nested: {
                      Version: service(["Version"]),
                      // google.protobuf.Empty is an empty message under another name.
                      VersionRequest: message({}),
                      VersionResponse: message({ version: ["string", 1], revision: ["string", 2] }),
                    },
                  },
                },
              },
            },
          },
        },
      },
    },
  },
  { keepCase: true, defaults: true, longs: Number },
);
