import { CriImages } from "../containerd/images.ts";
import type { Connection } from "./connection.ts";

/** The images of the containerd inside, which are those of the kubelet. */
export class RancherImages extends CriImages {
  constructor({ containerd }: Connection) {
    super(containerd);
  }
}
