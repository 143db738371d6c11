// The mesh as rows of numbers, as the shaders look them up.

import type { Numbers } from "./segments";

/** Three numbers a row as four; the fourth is another array's. */
export function fours(threes: Numbers, fourth: Numbers | null): Uint32Array<ArrayBuffer> {
  const four = new Uint32Array(threes.length / 3 * 4);
  for (let row = 0; row < threes.length / 3; row++) {
    four.set(threes.subarray(3 * row, 3 * row + 3), 4 * row);
    four[4 * row + 3] = fourth?.[row] ?? 0;
  }
  return four;
}

export function fourFloats(threes: Numbers): Float32Array<ArrayBuffer> {
  const four = new Float32Array(threes.length / 3 * 4);
  for (let row = 0; row < threes.length / 3; row++) four.set(threes.subarray(3 * row, 3 * row + 3), 4 * row);
  return four;
}

/** Where each vertex's pulls begin and how many there are; and the pulls, whose weights sum to 1. */
export function pulled(arrays: Record<string, Numbers>): [Uint32Array<ArrayBuffer>, Float32Array<ArrayBuffer>] {
  const start = arrays["skin_start"]!, joints = arrays["skin_joints"]!, weights = arrays["skin_weights"]!;
  const spans = new Uint32Array(2 * (start.length - 1)), pulls = new Float32Array(2 * joints.length);
  for (let vertex = 0; vertex + 1 < start.length; vertex++) {
    const first = start[vertex]!, last = start[vertex + 1]!;
    let sum = 0;
    for (let at = first; at < last; at++) sum += weights[at]!;
    for (let at = first; at < last; at++) pulls.set([joints[at]!, weights[at]! / sum], 2 * at);
    spans.set([first, last - first], 2 * vertex);
  }
  return [spans, pulls];
}

/** Where each vertex's faces begin and how many there are; and the corners of these faces. */
export function neighbours(faces: Numbers, count: number): [Uint32Array<ArrayBuffer>, Uint32Array<ArrayBuffer>] {
  const spans = new Uint32Array(2 * count);
  for (const vertex of faces) spans[2 * vertex + 1]!++;
  for (let vertex = 1; vertex < count; vertex++) {
    spans[2 * vertex] = spans[2 * vertex - 2]! + spans[2 * vertex - 1]!;
  }
  const around = new Uint32Array(4 * faces.length), filled = new Uint32Array(count);
  for (let at = 0; at < faces.length; at++) {
    const vertex = faces[at]!, face = at - at % 3;
    around.set(faces.subarray(face, face + 3), 4 * (spans[2 * vertex]! + filled[vertex]!++));
  }
  return [spans, around];
}
