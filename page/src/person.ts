// How the person stands: joints that carry the mesh, sliders that bend them, poses that are played.

import type { View } from "./camera";
import type { Numbers, Segment } from "./segments";
import { between, multiply, rotate, type Vector } from "./turns";

export interface Bend {
  name: string; group: string; share: number; axis: number[];
  rest: number; low: number; high: number; mirror: string;
}
export interface Bent { joints: number[]; angles_of_turn: number[][]; bends: Bend[] }

export interface PersonTold {
  up: Vector; offset: Vector; front: number; home: View; limits: Record<keyof View, [number, number]>;
  fps: number; there_and_back: boolean; motion: string; reach: number;
  controls: Bent[]; poses: Record<string, number[][]>; parents?: number[]; low?: Vector; high?: Vector;
  weak: boolean; system: string; size: number; stride: number; name: string; notice: string;
}

/** Axis-angles of the joints after the root; a person of recorded meshes has `frame` alone. */
export interface Pose {
  rotations: Float32Array; rootRotation: Float32Array; rootTranslation: Float32Array; frame: number;
}

const RADIANS = Math.PI / 180;

export class Person {
  readonly told: PersonTold;
  readonly arrays: Record<string, Numbers>;
  readonly vertexCount: number;
  readonly faceCount: number;
  readonly jointed: boolean;
  readonly poseCount: number;
  readonly seconds: number;
  /** 3 x 4 matrices, row by row: the world from the rest pose, of each joint. */
  readonly matrices: Float32Array<ArrayBuffer>;
  readonly bends = new Map<string, [Bent, Bend]>();
  /** Where the person as a whole is, after `stand`. */
  root: Vector = [0, 0, 0];
  private readonly worlds: Float64Array;

  constructor(segment: Segment<PersonTold>) {
    this.told = segment.told;
    this.arrays = segment.arrays;
    this.faceCount = segment.shapes["faces"]![0]!;
    this.jointed = this.told.parents !== undefined;
    this.vertexCount = this.jointed ? segment.shapes["vertices"]![0]! : segment.shapes["frames"]![1]!;
    const joints = this.told.parents?.length ?? 0;
    this.matrices = new Float32Array(12 * joints);
    this.worlds = new Float64Array(12 * joints);
    const times = this.arrays["times"]!;
    this.poseCount = times.length;
    this.seconds = times[times.length - 1]!;
    for (const bent of this.told.controls) for (const bend of bent.bends) this.bends.set(bend.name, [bent, bend]);
  }

  /** The pose at a row of what is played, which may lie between two. */
  pose(row: number): Pose {
    const before = Math.min(Math.max(Math.floor(row), 0), this.poseCount - 1);
    const share = Math.min(Math.max(row - before, 0), 1), after = Math.min(before + 1, this.poseCount - 1);
    if (!this.jointed) {
      return { rotations: new Float32Array(), rootRotation: new Float32Array(3),
               rootTranslation: new Float32Array(3), frame: before + (after > before ? share : 0) };
    }
    const one = this.recorded(before);
    if (share === 0 || after === before) return one;
    const other = this.recorded(after);
    return {
      rotations: between(one.rotations, other.rotations, share),
      rootRotation: between(one.rootRotation, other.rootRotation, share),
      rootTranslation: one.rootTranslation.map((x, i) => x + share * (other.rootTranslation[i]! - x)), frame: row,
    };
  }

  private recorded(row: number): Pose {
    const width = 3 * (this.told.parents!.length - 1), all = this.arrays["rotations"]!;
    const steps = all.subarray(row * width, (row + 1) * width);
    return {
      rotations: Float32Array.from(steps, (step) => step * Math.PI / 32767),
      rootRotation: (this.arrays["root_rotation"] as Float32Array).slice(3 * row, 3 * row + 3),
      rootTranslation: (this.arrays["root_translation"] as Float32Array).slice(3 * row, 3 * row + 3), frame: row,
    };
  }

  /** The row at so many seconds of playing: there and back, or in rounds. */
  rowAt(seconds: number): number {
    if (this.poseCount < 2) return 0;
    const span = this.seconds;
    let time = this.told.there_and_back
      ? span - Math.abs(seconds % (2 * span) - span)
      : seconds % (span + 1 / Math.max(this.told.fps, 1));
    const times = this.arrays["times"]!;
    time = Math.min(time, span);
    let low = 0, high = times.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (times[middle]! <= time) low = middle; else high = middle;
    }
    return low + (time - times[low]!) / (times[high]! - times[low]!);
  }

  secondsAt(row: number): number {
    const times = this.arrays["times"]!, before = Math.floor(row);
    return times[before]! + (row - before) * ((times[before + 1] ?? times[before]!) - times[before]!);
  }

  /** Work out the joints' matrices of a pose. */
  stand(pose: Pose): void {
    if (!this.jointed) { this.root = this.meanOfFrame(pose.frame); return; }
    const { parents } = this.told, steps = this.arrays["steps"]!, rest = this.arrays["joint_from_rest"]!;
    const local = new Float64Array(12);
    parents!.forEach((parent, joint) => {
      if (joint === 0) rotate(pose.rootRotation, 0, local, 0);
      else rotate(pose.rotations, 3 * (joint - 1), local, 0);
      for (let axis = 0; axis < 3; axis++) {
        local[4 * axis + 3] = steps[3 * joint + axis]! + (joint === 0 ? pose.rootTranslation[axis]! : 0);
      }
      if (parent < 0) this.worlds.set(local, 12 * joint);
      else multiply(this.worlds, 12 * parent, local, 0, this.worlds, 12 * joint);
    });
    const moved = new Float64Array(12);
    for (let joint = 0; joint < parents!.length; joint++) {
      multiply(this.worlds, 12 * joint, rest, 12 * joint, moved, 0);
      this.matrices.set(moved, 12 * joint);
    }
    this.root = [this.worlds[3]!, this.worlds[7]!, this.worlds[11]!];
  }

  /** Vertices by their numbers where `stand` has put them: three numbers each. */
  places(which: ArrayLike<number>, pose: Pose): Float64Array {
    const found = new Float64Array(3 * which.length);
    for (let index = 0; index < which.length; index++) {
      found.set(this.jointed ? this.skinned(which[index]!) : this.vertexOfFrame(pose.frame, which[index]!), 3 * index);
    }
    return found;
  }

  private skinned(vertex: number): Vector {
    const start = this.arrays["skin_start"]!, joints = this.arrays["skin_joints"]!;
    const weights = this.arrays["skin_weights"]!, rest = this.arrays["vertices"]!;
    const x = rest[3 * vertex]!, y = rest[3 * vertex + 1]!, z = rest[3 * vertex + 2]!;
    const sum = [0, 0, 0];
    for (let at = start[vertex]!; at < start[vertex + 1]!; at++) {
      const m = 12 * joints[at]!, weight = weights[at]! / 65535;
      for (let axis = 0; axis < 3; axis++) {
        const row = m + 4 * axis;
        sum[axis]! += weight * (this.matrices[row]! * x + this.matrices[row + 1]! * y
          + this.matrices[row + 2]! * z + this.matrices[row + 3]!);
      }
    }
    return sum as unknown as Vector;
  }

  /** The mean of all vertices, where a weak camera is as far from the person as the pinhole. */
  mean(pose: Pose): Vector {
    if (!this.jointed) return this.meanOfFrame(pose.frame);
    this.means ??= this.meansOfJoints();
    const sum = [0, 0, 0];
    for (let joint = 0; joint < this.told.parents!.length; joint++) {
      for (let axis = 0; axis < 3; axis++) {
        for (let column = 0; column < 4; column++) {
          sum[axis]! += this.matrices[12 * joint + 4 * axis + column]! * this.means[4 * joint + column]!;
        }
      }
    }
    return sum as unknown as Vector;
  }

  private means: Float64Array | null = null;

  private meansOfJoints(): Float64Array {
    const means = new Float64Array(4 * this.told.parents!.length), rest = this.arrays["vertices"]!;
    const start = this.arrays["skin_start"]!, joints = this.arrays["skin_joints"]!;
    const weights = this.arrays["skin_weights"]!;
    for (let vertex = 0; vertex < this.vertexCount; vertex++) {
      for (let at = start[vertex]!; at < start[vertex + 1]!; at++) {
        const share = weights[at]! / 65535 / this.vertexCount, to = 4 * joints[at]!;
        for (let axis = 0; axis < 3; axis++) means[to + axis]! += share * rest[3 * vertex + axis]!;
        means[to + 3]! += share;
      }
    }
    return means;
  }

  /** A vertex of the recorded meshes, mixed of two where the frame lies between them. */
  vertexOfFrame(frame: number, vertex: number): Vector {
    const before = Math.floor(frame), after = Math.min(before + 1, this.poseCount - 1), share = frame - before;
    const frames = this.arrays["frames"]!, width = 3 * this.vertexCount, { low, high } = this.told;
    return [0, 1, 2].map((axis) => {
      const at = 3 * vertex + axis, one = frames[before * width + at]!, other = frames[after * width + at]!;
      return low![axis]! + (one + share * (other - one)) / 65535 * (high![axis]! - low![axis]!);
    }) as unknown as Vector;
  }

  private meanOfFrame(frame: number): Vector {
    const sum = [0, 0, 0];
    for (let vertex = 0; vertex < this.vertexCount; vertex++) {
      const place = this.vertexOfFrame(frame, vertex);
      for (let axis = 0; axis < 3; axis++) sum[axis]! += place[axis]! / this.vertexCount;
    }
    return sum as unknown as Vector;
  }

  /** Degrees of every slider; see `Controls.read`. */
  read(pose: Pose): Map<string, number> {
    const found = new Map<string, number>();
    for (const bent of this.told.controls) {
      const share = bent.bends[0]!.share;
      const turn = [0, 1, 2].map((axis) => bent.joints.reduce(
        (sum, joint) => sum + pose.rotations[3 * joint + axis]!, 0) / bent.joints.length / share);
      bent.bends.forEach((bend, row) => {
        const angle = bent.angles_of_turn[row]!.reduce((sum, times, axis) => sum + times * turn[axis]!, 0);
        found.set(bend.name, bend.rest + angle / RADIANS);
      });
    }
    return found;
  }

  /** The pose with one slider moved; see `Controls.bent`. */
  bent(pose: Pose, name: string, degrees: number): Pose {
    const [bent, bend] = this.bends.get(name)!, rotations = pose.rotations.slice();
    const turn = (degrees - this.read(pose).get(name)!) * RADIANS * bend.share;
    for (const joint of bent.joints) {
      for (let axis = 0; axis < 3; axis++) rotations[3 * joint + axis]! += turn * bend.axis[axis]!;
    }
    return { ...pose, rotations };
  }
}
