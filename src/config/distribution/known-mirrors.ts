/**
 * Hosts that serve the images of another registry under the same names. Nodes ask a cache for the
 * name of the registry, so a proxy of such a host has to be imported under that name.
 */
const MIRRORS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    "docker.io": [
      // Google's cache of Docker Hub's public images.
      "mirror.gcr.io",
      // Another name of Docker Hub itself, which no image reference has.
      "registry.hub.docker.com",
      // Docker's own mirror in China.
      "registry.docker-cn.com",
      // Clouds: Tencent, Baidu, Azure, Arvan, Timeweb, Beget.
      "mirror.ccs.tencentyun.com",
      "mirror.baidubce.com",
      "dockerhub.azk8s.cn",
      "docker.arvancloud.ir",
      "dockerhub.timeweb.cloud",
      "dockerhub1.beget.com",
      // Universities.
      "docker.mirrors.ustc.edu.cn",
      "docker.mirrors.sjtug.sjtu.edu.cn",
      "docker.nju.edu.cn",
      "mirror.iscas.ac.cn",
      // Others that many configurations name as registry mirrors.
      "hub-mirror.c.163.com",
      "reg-mirror.qiniu.com",
      "docker.m.daocloud.io",
      "dockerproxy.com",
      "dockerproxy.cn",
      "dockerproxy.net",
      "docker.1ms.run",
      "docker.1panel.live",
      "docker.xuanyuan.me",
      "dockerhub.icu",
      "hub.rat.dev",
      "huecker.io",
      "noohub.ru",
      "registry.docker.ir",
    ],
    "ghcr.io": ["ghcr.m.daocloud.io", "ghcr.nju.edu.cn", "ghcr.dockerproxy.com", "ghcr.1ms.run"],
    "quay.io": ["quay.m.daocloud.io", "quay.nju.edu.cn", "quay.mirrors.ustc.edu.cn"],
    "gcr.io": ["gcr.m.daocloud.io", "gcr.mirrors.ustc.edu.cn", "gcr.lank8s.cn"],
    "registry.k8s.io": [
      "k8s.m.daocloud.io",
      "k8s.dockerproxy.com",
      "registry.lank8s.cn",
      "lank8s.cn",
    ],
  }).flatMap(([registry, hosts]) => hosts.map((host) => [host, registry] as const)),
);

/** Mirrors of Docker Hub of which each account with Alibaba, Huawei or DaoCloud has one of its own. */
const PERSONAL_MIRROR =
  /(?:^|\.)mirror\.(?:aliyuncs\.com|swr\.myhuaweicloud\.com)$|^[\da-f]{8}\.m\.daocloud\.io$/;

/** The registry that a host is known to mirror. */
export function registryMirroredBy(host: string): string | undefined {
  return MIRRORS.get(host) ?? (PERSONAL_MIRROR.test(host) ? "docker.io" : undefined);
}
