// The page's side of the networks' worker: one picture at a time.

import type { Channels } from "./painter";
import type { Loading, Pixel, Said } from "./worker";

export class Networks {
  /** Of the last picture, in the worker. */
  milliseconds = 0;
  private readonly spares: Float32Array<ArrayBuffer>[] = [];
  private waiting: ((said: Said) => void) | null = null;

  private constructor(private readonly worker: Worker, readonly by: "WebGPU" | "WebAssembly",
                      /** What is drawn far from the person. */ readonly nothing: Pixel) {
    worker.onmessage = (event: MessageEvent<Said>) => this.waiting?.(event.data);
    worker.onerror = (event) => this.waiting?.({ failed: event.message });
  }

  /** Start the worker; rejects where it can't run the networks. */
  static async load(code: ArrayBuffer, loading: Loading): Promise<Networks> {
    const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    const worker = new Worker(address);
    const said = await new Promise<Said>((resolve) => {
      worker.onmessage = (event: MessageEvent<Said>) => resolve(event.data);
      worker.onerror = (event) => resolve({ failed: event.message || "the worker did not start" });
      worker.postMessage({ load: loading }, [loading.model]);
    });
    URL.revokeObjectURL(address);
    if ("ready" in said) return new Networks(worker, said.ready, said.nothing);
    worker.terminate();
    throw new Error("failed" in said ? said.failed : "the worker answered something else");
  }

  /** An array of an earlier picture, to write the next one's channels into. */
  takeSpare(): Float32Array<ArrayBuffer> | null {
    return this.spares.pop() ?? null;
  }

  /** (H, W, 4): straight colour and mask, in [0, 1]. Not to be called again before it has answered. */
  async draw({ values, bands, window: { width, height } }: Channels): Promise<Float32Array> {
    const said = await new Promise<Said>((resolve) => {
      this.waiting = resolve;
      this.worker.postMessage({ draw: { values, bands, width, height } }, [values.buffer]);
    });
    this.waiting = null;
    if (!("picture" in said)) throw new Error("failed" in said ? said.failed : "the worker answered something else");
    if (this.spares.length < 2) this.spares.push(said.spare);
    this.milliseconds = said.milliseconds;
    return said.picture;
  }
}

/** Straight colour and mask in [0, 1] as bytes, the colour multiplied by the mask. */
export function premultiplied(picture: Float32Array): Uint8Array {
  const bytes = new Uint8ClampedArray(picture.length);
  for (let at = 0; at < picture.length; at += 4) {
    const mask = 255 * picture[at + 3]!;
    bytes[at] = picture[at]! * mask; bytes[at + 1] = picture[at + 1]! * mask; bytes[at + 2] = picture[at + 2]! * mask;
    bytes[at + 3] = mask;
  }
  return new Uint8Array(bytes.buffer);
}
