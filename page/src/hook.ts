// window.anr: what a test, or a page around this one, asks for exactly.

import type { Camera, View } from "./camera";
import type { Pose } from "./person";
import type { Stage } from "./stage";

export interface GivenPose {
  rotations?: ArrayLike<number>; root_rotation?: ArrayLike<number>; root_translation?: ArrayLike<number>;
  frame?: number;
}
export interface Given {
  pose?: GivenPose;
  /** K (3, 3) pixels, R (3, 3), t (3), size [height, width]: multiples of \`stride\`. */
  camera?: Camera;
  /** "learned" or "static"; learned where that is loaded. */
  picture?: "learned" | "static";
  /** Draw all of the picture, not only the part in which the person is. */
  whole?: boolean;
}
export interface Drawn { width: number; height: number; rgba: number[] }

export class Hook {
  constructor(private readonly stage: Stage, readonly first: Promise<void>, readonly learned: Promise<boolean>) {}

  get stride(): number { return this.stage.person.told.stride; }

  /** What is shown: by what, and how fast. */
  status() {
    const { shows, networks, framesASecond, view, row, playing, pose, person } = this.stage;
    return { shows, by: networks?.by ?? "WebGL", framesASecond, milliseconds: networks?.milliseconds ?? 0, view,
             row, playing, sliders: person.jointed ? Object.fromEntries(person.read(pose)) : {} };
  }

  set({ pose, view, playing }: { pose?: GivenPose; view?: Partial<View>; playing?: boolean }): void {
    if (pose !== undefined) this.stage.pose = this.posed(pose);
    if (view !== undefined) Object.assign(this.stage.view, view);
    if (playing !== undefined) this.stage.play(playing);
    this.stage.change();
  }

  /** Where vertices are in a pose, computed without the GPU: three numbers each. */
  places(pose: GivenPose, vertices: number[]): number[] {
    const posed = this.posed(pose);
    this.stage.person.stand(posed);
    return [...this.stage.person.places(vertices, posed)];
  }

  /** Straight colour and mask (H, W, 4) in [0, 1] of a pose and a camera. */
  async draw(given: Given): Promise<Drawn> {
    const { stage } = this, pose = given.pose === undefined ? stage.pose : this.posed(given.pose);
    const camera = given.camera ?? stage.camera(stage.size(stage.person.told.size));
    const [height, width] = camera.size;
    stage.held++;
    try {
      await stage.idle();
      const rgba = new Float32Array(4 * height * width);
      if (given.picture === "learned" && stage.networks === null) throw new Error("The networks aren't there.");
      if (given.picture === "static" || stage.networks === null) {
        stage.painter.read(stage.painter.drawStatic(pose, camera)).forEach((n, at) => { rgba[at] = n / 255; });
        return { width, height, rgba: [...rgba] };
      }
      const channels = await stage.painter.drawChannels(pose, camera, null, given.whole ?? false);
      for (let at = 0; at < rgba.length; at += 4) rgba.set(stage.networks.nothing, at);
      const { x, y, width: across, height: down } = channels.window;
      const picture = await stage.networks.draw(channels);
      for (let row = 0; row < down; row++) {
        rgba.set(picture.subarray(4 * row * across, 4 * (row + 1) * across), 4 * ((y + row) * width + x));
      }
      return { width, height, rgba: [...rgba] };
    } finally {
      stage.held--;
      stage.change();
    }
  }

  private posed(given: GivenPose): Pose {
    const { pose } = this.stage;
    return {
      rotations: given.rotations === undefined ? pose.rotations : Float32Array.from(given.rotations),
      rootRotation: given.root_rotation === undefined ? pose.rootRotation : Float32Array.from(given.root_rotation),
      rootTranslation: given.root_translation === undefined ? pose.rootTranslation
        : Float32Array.from(given.root_translation),
      frame: Math.min(Math.max(given.frame ?? pose.frame, 0), this.stage.person.poseCount - 1),
    };
  }
}
