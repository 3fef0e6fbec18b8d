#!/bin/sh
# docker run registry:2 was started by hand once
docker run -d --restart=always --name hub -p 5000:5000 \
  -e REGISTRY_PROXY_REMOTEURL=https://mirror.gcr.io \
  -v /srv/hub:/var/lib/registry registry:2
sudo podman run -d --network host -e REGISTRY_HTTP_ADDR=0.0.0.0:5030 \
  --env "REGISTRY_PROXY_REMOTEURL=https://registry.k8s.io" -e 'REGISTRY_PROXY_USERNAME=me' \
  -e REGISTRY_PROXY_PASSWORD=not-a-real-one --volume=/srv/k8s:/var/lib/registry docker.io/registry:2
docker run -d -p 80:80 nginx
