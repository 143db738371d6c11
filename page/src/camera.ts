// OpenCV's cameras: +X right, +Y down, +Z forward; the centre of the top left pixel is (0.5, 0.5).

import { added, cross, dot, scaled, unit, type Vector } from "./turns";

export interface Camera {
  K: number[][];          // pixels
  R: number[][];          // camera from world
  t: Vector;              // metres
  size: [number, number]; // height and width, pixels
}

export interface View { azimuth: number; elevation: number; distance: number; field_of_view: number }

/** A camera on a sphere around a place; see `orbit` in camera.py. Angles in degrees. */
export function orbit(middle: Vector, front: number, up: Vector, view: View, side: number,
                      size: [number, number]): Camera {
  const radians = Math.PI / 180;
  const azimuth = front + view.azimuth * radians, elevation = view.elevation * radians;
  const east = unit(added([1, 0, 0], up, -up[0]));
  const ahead = cross(east, up);
  const c = Math.cos(elevation);
  const outward = added(added(scaled(ahead, c * Math.cos(azimuth)), east, c * Math.sin(azimuth)), up,
                        Math.sin(elevation));
  const right = added(scaled(east, Math.cos(azimuth)), ahead, -Math.sin(azimuth));
  const forward = scaled(outward, -1), down = cross(forward, right);
  const eye = added(middle, outward, view.distance);
  const focal = side / 2 / Math.tan(view.field_of_view * radians / 2);
  return {
    K: [[focal, 0, size[1] / 2], [0, focal, size[0] / 2], [0, 0, 1]], R: [[...right], [...down], [...forward]],
    t: [-dot(right, eye), -dot(down, eye), -dot(forward, eye)], size,
  };
}

/** Rows of what takes world points (x, y, z, 1) to (u w, v w, w, depth), where (u, v) is the pixel. */
export interface Rows {
  rows: number[][];
  size: [number, number];
  near: number;
  far: number;
  camera: Camera;
  weak: boolean;
}

/**
 * A camera's rows; of a weak one those at the depth of a place, where all rays are parallel.
 *
 * reach  metres around the place within which everything lies
 */
export function rowsOf(camera: Camera, place: Vector, reach: number, weak: boolean): Rows {
  const { K, R, t } = camera;
  const local = R.map((row, index) => [...row, t[index]!]);
  const depth = dot(R[2] as unknown as Vector, place) + t[2];
  const last = weak ? [0, 0, 0, depth] : local[2]!;
  // a weak camera's K is in pixels a metre: this K over the depth; times the depth again, w is the depth
  const rows = [0, 1].map((row) => [0, 1, 2, 3].map((column) =>
    K[row]![0]! * local[0]![column]! + K[row]![1]! * local[1]![column]! + K[row]![2]! * last[column]!));
  const near = weak ? depth - reach : Math.max(0.01, depth - reach);
  return { rows: [...rows, last, local[2]!], size: camera.size, near, far: Math.max(near + 0.1, depth + reach),
           camera, weak };
}

/** The rows of the part of the picture whose top left corner is (x, y). */
export function cropped(given: Rows, x: number, y: number, width: number, height: number): Rows {
  const [u, v, w, z] = given.rows as [number[], number[], number[], number[]];
  const moved = [u.map((n, column) => n - x * w[column]!), v.map((n, column) => n - y * w[column]!), w, z];
  return { ...given, rows: moved, size: [height, width] };
}

export const centre = (camera: Camera): Vector => scaled(added(added(
  scaled(camera.R[0] as unknown as Vector, camera.t[0]), camera.R[1] as unknown as Vector, camera.t[1]),
  camera.R[2] as unknown as Vector, camera.t[2]), -1);
