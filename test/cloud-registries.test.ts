import { expect } from "bun:test";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { AcrStandIn } from "./harness/clouds/acr.ts";
import { AwsStandIn } from "./harness/clouds/aws.ts";
import { AzureStandIn } from "./harness/clouds/azure.ts";
import { startGatedRegistry } from "./harness/clouds/gated-registry.ts";
import { GoogleStandIn } from "./harness/clouds/google.ts";
import { type Image, textImage } from "./harness/images/images.ts";
import { realTest } from "./harness/real-components.ts";
import { startDockerRegistry } from "./harness/registries/docker-registry.ts";
import { push } from "./harness/registries/push.ts";
import { startTokenIssuer } from "./harness/registries/token-issuer.ts";
import { until } from "./harness/waiting.ts";

const ECR = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
const GOOGLE = "europe-west1-docker.pkg.dev";
const ACR = "example.azurecr.io";

/** The status of pulls of a whole image. */
async function pull(
  cache: Entrepot,
  upstream: string,
  { tag, image }: { tag: string; image: Image },
): Promise<number[]> {
  const paths = [`manifests/${tag}`, ...image.blobs.map(({ digest }) => `blobs/${digest}`)];
  const statuses: number[] = [];
  for (const path of paths) {
    const response = await cache.get(`/v2/team/app/${path}?ns=${upstream}`);
    await response.bytes();
    statuses.push(response.status);
  }
  return statuses;
}

/** The upstreams of which the metrics say that their credentials fail. */
async function failing(cache: Entrepot): Promise<string[]> {
  const text = await (await cache.getAdmin("/metrics")).text();
  const samples = /^entrepot_upstream_credentials_failing\{upstream="([^"]+)"\} 1$/gm;
  return [...text.matchAll(samples)].map(([, name = ""]) => name);
}

realTest(
  "registries of AWS, Google and Azure are pulled from as whom the cloud takes the cache for, and lose no pull as tokens change",
  async () => {
    const images = ["1", "2"].map((tag) => ({ tag, image: textImage({ text: `v${tag}` }) }));
    const [first, second] = images;
    if (!first || !second) throw new Error("no images");
    await using ecr = await startGatedRegistry();
    await using artifacts = await startGatedRegistry();
    await using issuer = await startTokenIssuer({ anonymous: false });
    await using behindAcr = await startDockerRegistry({ auth: issuer.auth });
    await using aws = new AwsStandIn({ onIssued: ecr.accept });
    await using google = new GoogleStandIn({ onIssued: artifacts.accept });
    await using azure = new AzureStandIn();
    await using acr = new AcrStandIn({
      azure,
      registry: ACR,
      behind: { url: behindAcr.url, authorization: (name) => issuer.authorization(name, ["pull"]) },
    });
    for (const { tag, image } of images) {
      const target = { repository: "team/app", tag };
      const { authorization } = ecr;
      await push(image, { ...target, url: ecr.registry.url, authorization });
      await push(image, { ...target, url: artifacts.registry.url, authorization });
      const bearer = issuer.authorization("team/app");
      await push(image, { ...target, url: behindAcr.url, authorization: bearer });
    }
    const issuedBy = () => [
      ecr.tokens.length,
      artifacts.tokens.length,
      acr.count("/oauth2/exchange"),
    ];
    aws.fails(({ headers }) =>
      headers.has("x-amz-target")
        ? Response.json({ __type: "AccessDeniedException" }, { status: 400 })
        : undefined,
    );
    await using cache = await startEntrepot({
      config: {
        upstreams: {
          [ECR]: { ...localUpstream(ecr.registry.url), auth: { aws: { registry: ECR } } },
          [GOOGLE]: {
            ...localUpstream(artifacts.registry.url),
            auth: { google: { registry: GOOGLE } },
          },
          [ACR]: { ...localUpstream(acr.url), auth: { azure: { registry: ACR } } },
        },
      },
      env: {
        AWS_ENDPOINT_URL_ECR: aws.url,
        AWS_EC2_METADATA_SERVICE_ENDPOINT: aws.url,
        GCE_METADATA_HOST: google.host,
        AZURE_POD_IDENTITY_AUTHORITY_HOST: azure.url,
      },
    });
    const all = [200, 200, 200];
    expect(first.image.blobs).toHaveLength(2);
    // Nobody may pull without a token.
    expect((await fetch(`${ecr.registry.url}/v2/team/app/manifests/1`)).status).toBe(401);
    expect((await pull(cache, ECR, first))[0]).not.toBe(200);
    const told = await cache.logged("credentials refused");
    const problem = `by the instance's role, ${aws.host} gives no token (AccessDeniedException): the identity needs ecr:GetAuthorizationToken: public images of ${ECR} are pulled without credentials`;
    expect(String(told["problem"])).toMatch(/^auth\.aws \(.*entrepot\.yaml:\d+:\d+\), /);
    expect(String(told["problem"])).toEndWith(problem);
    const status = await cache.getAdmin("/api/v1/status");
    expect(await status.text()).toContain(problem);
    expect(await failing(cache)).toEqual([ECR]);
    expect(await pull(cache, GOOGLE, first)).toEqual(all);
    expect(await pull(cache, ACR, first)).toEqual(all);
    // The identity is given its policy. Ten seconds after the failure, AWS is asked again.
    aws.fails();
    await until(async () => (await pull(cache, ECR, first))[0] === 200, {
      what: "a pull with a token",
      within: 20_000,
    });
    expect(issuedBy()).toEqual([1, 1, 1]);
    expect(await failing(cache)).toEqual([]);
    // All tokens are taken back, as when a role or an account was changed.
    await Promise.all([ecr.revoke(), artifacts.revoke()]);
    acr.revoke();
    const pulls = [ECR, GOOGLE, ACR].flatMap((name) => [
      pull(cache, name, second),
      pull(cache, name, second),
    ]);
    expect(await Promise.all(pulls)).toEqual(pulls.map(() => all));
    expect(issuedBy()).toEqual([2, 2, 2]);
    expect(cache.logs().filter(({ msg }) => msg === "credentials refused")).toHaveLength(1);
    for (const token of [...ecr.tokens, ...artifacts.tokens]) {
      expect(cache.output()).not.toContain(token);
      expect(JSON.stringify(cache.logs())).not.toContain(token);
    }
  },
  90_000,
);
