// The networks, beside the page: ONNX Runtime on WebGPU where there is one, else on WebAssembly, in one thread.
// A page that was opened from disk may not share memory between threads.

import * as ort from "onnxruntime-web/webgpu";
import { unpacked } from "./segments";

export interface Loading {
  model: ArrayBuffer;
  runtime: string;
  /** Of the model's input. */
  bands: number;
  /** "WebGPU" also takes one that is a program on the CPU, which is slower than WebAssembly: for tests. */
  by: "WebGPU" | "WebAssembly" | "the faster";
}
export interface Drawing { values: Float32Array<ArrayBuffer>; bands: number; width: number; height: number }

/** Straight colour and mask, in [0, 1]. */
export type Pixel = [number, number, number, number];

/** What the worker says: by what it draws, and what where nothing is; or why it can't; and pictures (H, W, 4). */
export type Said =
  | { ready: "WebGPU" | "WebAssembly"; nothing: Pixel }
  | { failed: string }
  | { picture: Float32Array; spare: Float32Array<ArrayBuffer>; milliseconds: number };

const SMALL = 128;  // pixels a side of an empty picture, drawn to see whether it can be done
const BLOCK = 4;    // side of the block in its middle: networks draw in blocks of their own

let session: ort.InferenceSession | null = null;
const say = (said: Said, transfer: Transferable[] = []) => self.postMessage(said, { transfer });

async function load({ model, runtime, bands, by }: Loading): Promise<void> {
  ort.env.wasm.wasmBinary = await unpacked(runtime);
  ort.env.wasm.numThreads = 1;
  const bytes = new Uint8Array(model);
  const open = async (provider: "webgpu" | "wasm") => {
    session = await ort.InferenceSession.create(bytes, { executionProviders: [provider], logSeverityLevel: 3 });
    return middle(await run(new Float32Array(bands * SMALL * SMALL * 4), bands, SMALL, SMALL));
  };
  if (by !== "WebAssembly" && await hasGpu(by === "WebGPU")) {
    try {
      const nothing = await open("webgpu");
      say({ ready: "WebGPU", nothing });
      return;
    } catch { /* a graphics driver that lacks something: the other way always works */ }
  }
  const nothing = await open("wasm");
  say({ ready: "WebAssembly", nothing });
}

/** The mean of a picture's middle, far from where a network sees its edge. */
function middle(picture: Float32Array): Pixel {
  const mean: Pixel = [0, 0, 0, 0], first = (SMALL - BLOCK) / 2;
  for (let row = first; row < first + BLOCK; row++) {
    for (let column = first; column < first + BLOCK; column++) {
      for (let channel = 0; channel < 4; channel++) {
        mean[channel]! += picture[4 * (SMALL * row + column) + channel]! / BLOCK ** 2;
      }
    }
  }
  return mean;
}

interface Adapter { info?: { isFallbackAdapter?: boolean } }

async function hasGpu(any: boolean): Promise<boolean> {
  const { gpu } = navigator as { gpu?: { requestAdapter(): Promise<Adapter | null> } };
  try {
    const adapter = await gpu?.requestAdapter() ?? null;
    return adapter !== null && (any || adapter.info?.isFallbackAdapter !== true);
  } catch {
    return false;
  }
}

async function run(values: Float32Array<ArrayBuffer>, bands: number, width: number, height: number):
    Promise<Float32Array<ArrayBuffer>> {
  const { picture } = await session!.run({ bands: new ort.Tensor("float32", values, [bands, height, width, 4]) });
  const drawn = (await picture!.getData() as Float32Array).slice();
  picture!.dispose();
  return drawn;
}

async function draw({ values, bands, width, height }: Drawing): Promise<void> {
  const started = performance.now(), picture = await run(values, bands, width, height);
  say({ picture, spare: values, milliseconds: performance.now() - started }, [picture.buffer, values.buffer]);
}

self.onmessage = (event: MessageEvent<{ load: Loading } | { draw: Drawing }>) => {
  const work = "load" in event.data ? load(event.data.load) : draw(event.data.draw);
  work.catch((error: unknown) => say({ failed: error instanceof Error ? error.message : String(error) }));
};
