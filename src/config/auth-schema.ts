import { z } from "zod";
import { awsSchema, azureSchema, googleSchema } from "./cloud/cloud-schema.ts";
import { duration, nonEmptyText } from "./schema-values.ts";

/** `auth` of an upstream. */
export const authSchema = z
  .strictObject({
    // RFC 7617 section 2: the first colon separates the username from the password.
    username: z
      .string()
      .min(1)
      .refine((name) => !name.includes(":"), { message: "must not contain a colon" })
      .optional()
      .describe("The username. Must not contain a colon."),
    usernameEnv: nonEmptyText.describe("The environment variable with the username."),
    password: nonEmptyText.describe("The password. Prefer passwordFile or passwordEnv."),
    passwordFile: nonEmptyText.describe(
      "The file with the password, at most 64 KiB. A line break at its end is ignored.",
    ),
    passwordEnv: nonEmptyText.describe("The environment variable with the password."),
    secretDir: nonEmptyText.describe(
      "The directory of a mounted Kubernetes Secret, with the files username and password, or with .dockerconfigjson. Excludes the other keys of auth.",
    ),
    dockerConfig: nonEmptyText.describe(
      "A Docker config.json, at most 1 MiB. Its credential helpers (docker-credential-…) are run. Excludes the other keys of auth.",
    ),
    helper: z
      .strictObject({
        program: z
          .string()
          .min(1)
          .describe(
            "The program, which is run as `PROGRAM get`: a name in PATH, such as docker-credential-pass, or a path.",
          ),
        server: nonEmptyText.describe(
          "What the program is asked for. Default: the upstream's name; https://index.docker.io/v1/ for docker.io.",
        ),
        ttl: duration
          .optional()
          .describe(
            "How long its credentials are used at most before it is run again. 0 runs it whenever credentials are needed. Range: 0 to 365d. Default: until the expiry that they state, or 15m.",
          ),
      })
      .optional()
      .describe(
        "A Docker credential helper: a program that reads the server from its standard input and prints JSON with Username and Secret. Excludes the other keys of auth.",
      ),
    aws: awsSchema
      .optional()
      .describe(
        "For Amazon ECR, private or public: a token for which AWS is asked, as whom it takes this machine or workload for. Excludes the other keys of auth, as do google and azure.",
      ),
    google: googleSchema
      .optional()
      .describe(
        "For Google Artifact Registry: an access token of the application default credentials, or of this machine or workload.",
      ),
    azure: azureSchema
      .optional()
      .describe(
        "For Azure Container Registry: a token that the registry gives for the managed or workload identity.",
      ),
    useFor: z
      .literal("public", { message: "must be public, or be omitted" })
      .optional()
      .describe(
        "With access: upstream, what these credentials are sent for: public has content that the registry shows to anybody pulled with them, so that its rate limits are those of this account. Private content is pulled with the credentials of clients alone. Default: none, they are sent for nothing.",
      ),
  })
  .superRefine((value, context) => {
    const problem = authProblem(value);
    if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
  });

/** Those that stand alone. */
const COMPLETE = ["secretDir", "dockerConfig", "helper", "aws", "google", "azure"] as const;

function authProblem(value: Readonly<Record<string, unknown>>): string | undefined {
  const count = (...keys: string[]): number =>
    keys.filter((key) => value[key] !== undefined).length;
  const partial = count("username", "usernameEnv", "password", "passwordFile", "passwordEnv");
  const complete = count(...COMPLETE);
  if (complete > 0) {
    if (complete + partial === 1) return undefined;
    return "must have only one of: a username with a password, secretDir, dockerConfig, helper, aws, google, or azure";
  }
  if (count("username", "usernameEnv") !== 1)
    return "must have either username or usernameEnv, or secretDir, dockerConfig, helper, aws, google or azure instead";
  if (count("password", "passwordFile", "passwordEnv") !== 1)
    return "must have exactly one of password, passwordFile or passwordEnv";
  return undefined;
}

export type AuthEntry = z.infer<typeof authSchema>;
