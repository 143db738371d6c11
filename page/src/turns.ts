// Rotations as axis-angles, matrices (row by row) and unit quaternions (x, y, z, w); vectors of three numbers.

export type Vector = readonly [number, number, number];
export type Matrix = Float64Array;

export const dot = (a: Vector, b: Vector): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const cross = (a: Vector, b: Vector): Vector =>
  [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
export const added = (a: Vector, b: Vector, times = 1): Vector =>
  [a[0] + times * b[0], a[1] + times * b[1], a[2] + times * b[2]];
export const scaled = (a: Vector, times: number): Vector => [a[0] * times, a[1] * times, a[2] * times];
export const unit = (a: Vector): Vector => scaled(a, 1 / Math.max(Math.hypot(...a), 1e-12));

/** The rotation of an axis-angle at `at` in `turns`, as the upper left of a 3 x 4 matrix at `to`. Rodrigues. */
export function rotate(turns: ArrayLike<number>, at: number, into: Matrix, to: number): void {
  const x = turns[at]!, y = turns[at + 1]!, z = turns[at + 2]!;
  const square = x * x + y * y + z * z, angle = Math.sqrt(square);
  const s = angle > 1e-6 ? Math.sin(angle) / angle : 1 - square / 6;
  const c = angle > 1e-6 ? (1 - Math.cos(angle)) / square : 0.5 - square / 24;
  into[to] = 1 - c * (y * y + z * z); into[to + 1] = c * x * y - s * z; into[to + 2] = c * x * z + s * y;
  into[to + 4] = c * x * y + s * z; into[to + 5] = 1 - c * (x * x + z * z); into[to + 6] = c * y * z - s * x;
  into[to + 8] = c * x * z - s * y; into[to + 9] = c * y * z + s * x; into[to + 10] = 1 - c * (x * x + y * y);
}

/** Product of two 3 x 4 matrices, whose fourth rows are (0, 0, 0, 1). */
export function multiply(a: ArrayLike<number>, i: number, b: ArrayLike<number>, j: number,
                         into: Matrix, to: number): void {
  for (let row = 0; row < 3; row++) {
    const p = a[i + 4 * row]!, q = a[i + 4 * row + 1]!, r = a[i + 4 * row + 2]!, t = a[i + 4 * row + 3]!;
    for (let column = 0; column < 4; column++) {
      into[to + 4 * row + column] = p * b[j + column]! + q * b[j + 4 + column]! + r * b[j + 8 + column]!
        + (column === 3 ? t : 0);
    }
  }
}

function quaternion(turns: ArrayLike<number>, at: number): [number, number, number, number] {
  const x = turns[at]!, y = turns[at + 1]!, z = turns[at + 2]!, angle = Math.hypot(x, y, z);
  const s = angle > 1e-9 ? Math.sin(angle / 2) / angle : 0.5;
  return [x * s, y * s, z * s, Math.cos(angle / 2)];
}

/** Axis-angles a share of the way from one to another, every one of them turning evenly the shorter way. */
export function between(one: ArrayLike<number>, other: ArrayLike<number>, share: number): Float32Array {
  const mixed = new Float32Array(one.length);
  for (let at = 0; at < one.length; at += 3) {
    const p = quaternion(one, at), q = quaternion(other, at);
    let cosine = p[0] * q[0] + p[1] * q[1] + p[2] * q[2] + p[3] * q[3];
    const sign = cosine < 0 ? -1 : 1;
    cosine = Math.min(1, cosine * sign);
    const angle = Math.acos(cosine), sine = Math.sin(angle);
    const a = sine > 1e-6 ? Math.sin((1 - share) * angle) / sine : 1 - share;
    const b = sign * (sine > 1e-6 ? Math.sin(share * angle) / sine : share);
    let w = a * p[3] + b * q[3];
    const flip = w < 0 ? -1 : 1;
    w *= flip;
    const v: Vector = [flip * (a * p[0] + b * q[0]), flip * (a * p[1] + b * q[1]), flip * (a * p[2] + b * q[2])];
    const length = Math.hypot(...v), times = length > 1e-9 ? 2 * Math.atan2(length, w) / length : 2;
    mixed.set(scaled(v, times), at);
  }
  return mixed;
}
