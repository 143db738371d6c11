// The networks, beside the page: ONNX Runtime on WebGPU where there is one, else on WebAssembly, in one thread.
// A page that was opened from disk may not share memory between threads.

import * as ort from "onnxruntime-web/webgpu";
import { unpacked } from "./segments";

export interface Loading { model: ArrayBuffer; runtime: string; webgpu: boolean }
export interface Drawing { values: Float32Array<ArrayBuffer>; bands: number; width: number; height: number }

/** What the worker says: by what it draws, or why it can't; and the picture, (H, W, 4) straight colour, mask. */
export type Said =
  | { ready: "WebGPU" | "WebAssembly" }
  | { failed: string }
  | { picture: Float32Array; spare: Float32Array<ArrayBuffer>; milliseconds: number };

let session: ort.InferenceSession | null = null;
const say = (said: Said, transfer: Transferable[] = []) => self.postMessage(said, { transfer });

async function load({ model, runtime, webgpu }: Loading): Promise<void> {
  ort.env.wasm.wasmBinary = await unpacked(runtime);
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const bytes = new Uint8Array(model);
  if (webgpu && await hasGpu()) {
    try {
      session = await ort.InferenceSession.create(bytes, { executionProviders: ["webgpu"] });
      say({ ready: "WebGPU" });
      return;
    } catch { /* a graphics driver that lacks something: the other way always works */ }
  }
  session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
  say({ ready: "WebAssembly" });
}

async function hasGpu(): Promise<boolean> {
  const { gpu } = navigator as { gpu?: { requestAdapter(): Promise<{ info?: { isFallbackAdapter?: boolean } } | null> } };
  try {
    return gpu !== undefined && await gpu.requestAdapter() !== null;
  } catch {
    return false;
  }
}

async function draw({ values, bands, width, height }: Drawing): Promise<void> {
  const started = performance.now();
  const given = new ort.Tensor("float32", values, [bands, height, width, 4]);
  const { picture } = await session!.run({ bands: given });
  const drawn = await picture!.getData() as Float32Array;
  const copy = drawn.slice();
  picture!.dispose();
  say({ picture: copy, spare: values, milliseconds: performance.now() - started }, [copy.buffer, values.buffer]);
}

self.onmessage = (event: MessageEvent<{ load: Loading } | { draw: Drawing }>) => {
  const work = "load" in event.data ? load(event.data.load) : draw(event.data.draw);
  work.catch((error: unknown) => say({ failed: error instanceof Error ? error.message : String(error) }));
};
