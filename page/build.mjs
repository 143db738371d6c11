// Bundles the viewer and its worker into dist/, beside the runtime's WebAssembly; pack.py packs them for Python.

import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { build } from "esbuild";

const shared = { bundle: true, minify: true, format: "iife", target: "es2022", legalComments: "none",
                 charset: "ascii", outdir: "dist" };
await mkdir("dist", { recursive: true });
await build({ ...shared, entryPoints: { viewer: "src/main.ts" } });
await build({ ...shared, entryPoints: { worker: "src/worker.ts" },
              // a script out of a Blob has no address; the runtime asks for one where it looks for its files,
              // which are given to it
              define: { "import.meta.url": "self.location.href" } });
await copyFile("node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify.wasm", "dist/runtime.wasm");
const { version } = JSON.parse(await readFile("node_modules/onnxruntime-web/package.json", "utf8"));
await writeFile("dist/licences.txt", (await readFile("licences.txt", "utf8")).replace("{{version}}", version));
