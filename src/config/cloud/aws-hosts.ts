/** A registry of Amazon ECR, as its host name says. */
export interface EcrHost {
  readonly service: "ecr" | "ecr-public";
  readonly region: string;
  /** Where its tokens are asked for. */
  readonly api: URL;
}

/** As in the kubelet's ecr-credential-provider, with all partitions. */
const PRIVATE =
  /^\d{12}\.dkr(?<dash>[.-])ecr(?<fips>-fips)?\.(?<region>[a-z\d][a-z\d-]*)\.(?<suffix>amazonaws\.(?:com(?:\.cn)?|eu)|on\.aws|on\.amazonwebservices\.com\.cn|sc2s\.sgov\.gov|c2s\.ic\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)$/;

/** The names of dual-stack registries have other suffixes than those of the interfaces. */
const DUAL_STACK: Readonly<Record<string, string>> = {
  "on.aws": "api.aws",
  "on.amazonwebservices.com.cn": "api.amazonwebservices.com.cn",
};

/** Of registries of ECR Public, which has its interface in one region only. */
const PUBLIC = /^(?:public\.ecr\.aws|ecr-public\.aws\.com)$/;

export function ecrHost(host: string): EcrHost | undefined {
  if (PUBLIC.test(host)) {
    const api = new URL("https://api.ecr-public.us-east-1.amazonaws.com/");
    return { service: "ecr-public", region: "us-east-1", api };
  }
  const groups = PRIVATE.exec(host)?.groups;
  if (!groups) return undefined;
  const { dash, fips = "", region = "", suffix = "" } = groups;
  const dualStack = DUAL_STACK[suffix];
  if ((dash === "-") !== (dualStack !== undefined)) return undefined;
  const isPlain = dualStack === undefined && fips === "";
  const name = `${isPlain ? "api." : ""}ecr${fips}.${region}.${dualStack ?? suffix}`;
  return { service: "ecr", region, api: new URL(`https://${name}/`) };
}

/** The suffix of AWS's host names in the partition of a region. */
const SUFFIXES: readonly (readonly [RegExp, string])[] = [
  [/^cn-/, "amazonaws.com.cn"],
  [/^us-isob-/, "sc2s.sgov.gov"],
  [/^us-iso-/, "c2s.ic.gov"],
  [/^eu-isoe-/, "cloud.adc-e.uk"],
  [/^us-isof-/, "csp.hci.ic.gov"],
  [/^eusc-/, "amazonaws.eu"],
];

/** The address of AWS STS in a region. */
export function regionalSts(region: string): string {
  const suffix = SUFFIXES.find(([pattern]) => pattern.test(region))?.[1] ?? "amazonaws.com";
  return `https://sts.${region}.${suffix}`;
}
