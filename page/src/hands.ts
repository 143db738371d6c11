// Mouse, touch and keys on the picture: they orbit, go nearer, and play.

import type { View } from "./camera";
import type { Stage } from "./stage";

/** A view's number as far as it reaches; an azimuth goes round. */
export function within(limits: Record<keyof View, [number, number]>, name: keyof View, value: number): number {
  const [low, high] = limits[name];
  if (name !== "azimuth") return Math.min(Math.max(value, low), high);
  return ((value - low) % (high - low) + (high - low)) % (high - low) + low;
}

/** moved: told after each move, so that sliders follow. */
export function listen(stage: Stage, moved: () => void, togglePlay: () => void): void {
  const { canvas } = stage, { limits, home } = stage.person.told, held = new Map<number, [number, number]>();
  const change = (changes: Partial<View>) => {
    for (const [name, value] of Object.entries(changes) as [keyof View, number][]) {
      stage.view[name] = within(limits, name, value);
    }
    stage.change();
    moved();
  };
  const nearer = (times: number) => change({ distance: stage.view.distance * times });
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, [event.clientX, event.clientY]);
  });
  canvas.addEventListener("pointermove", (event) => {
    const from = held.get(event.pointerId);
    if (from === undefined) return;
    const side = Math.min(canvas.clientWidth, canvas.clientHeight) || 1;
    if (held.size === 1) {
      // across the picture is half a turn, and the person follows the hand
      change({ azimuth: stage.view.azimuth - 180 * (event.clientX - from[0]) / side,
               elevation: stage.view.elevation + 120 * (event.clientY - from[1]) / side });
    } else if (held.size === 2) {
      const [other] = [...held].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      const before = Math.hypot(from[0] - other![0], from[1] - other![1]);
      const after = Math.hypot(event.clientX - other![0], event.clientY - other![1]);
      if (before > 0 && after > 0) nearer(before / after);
    }
    held.set(event.pointerId, [event.clientX, event.clientY]);
  });
  for (const name of ["pointerup", "pointercancel"] as const) {
    canvas.addEventListener(name, (event) => held.delete(event.pointerId));
  }
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 33 : event.deltaMode === 2 ? 300 : 1;
    nearer(Math.exp(0.001 * Math.max(-300, Math.min(300, lines * event.deltaY))));
  }, { passive: false });
  canvas.addEventListener("dblclick", () => change({ ...home }));
  canvas.addEventListener("keydown", (event) => {
    const { azimuth, elevation } = stage.view;
    const moves: Record<string, () => void> = {
      ArrowLeft: () => change({ azimuth: azimuth - 5 }), ArrowRight: () => change({ azimuth: azimuth + 5 }),
      ArrowUp: () => change({ elevation: elevation + 4 }), ArrowDown: () => change({ elevation: elevation - 4 }),
      "+": () => nearer(0.93), "=": () => nearer(0.93), "-": () => nearer(1 / 0.93),
      Home: () => change({ ...home }), " ": togglePlay,
    };
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in moves)) return;
    event.preventDefault();
    moves[event.key]!();
  });
}
