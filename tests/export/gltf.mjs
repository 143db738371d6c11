// What two others make of a .glb: Khronos's validator, and three.js with its own skinning.
//
//     node gltf.mjs FOLDER FILE validate                 FOLDER has node_modules: gltf-validator, three
//     node gltf.mjs FOLDER FILE pose TIME,TIME INDEX,... the vertices there, as it shows them
//
// prints JSON.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, file, what, times, indices] = process.argv.slice(2);
const require = createRequire(pathToFileURL(join(folder, "x.js")));
const bytes = new Uint8Array(readFileSync(file));

if (what === "validate") {
  const report = await require("gltf-validator").validateBytes(bytes);
  console.log(JSON.stringify(report.issues));
} else {
  globalThis.self = globalThis;
  const THREE = await import(pathToFileURL(join(folder, "node_modules/three/build/three.module.js")));
  const { GLTFLoader } = await import(
    pathToFileURL(join(folder, "node_modules/three/examples/jsm/loaders/GLTFLoader.js")));
  const loader = new GLTFLoader();
  loader.register(() => ({ name: "no pictures", loadTexture: async () => new THREE.Texture() }));
  const { scene, animations } = await loader.parseAsync(bytes.buffer, "");
  let mesh = null;
  scene.traverse((node) => { if (node.isMesh) mesh = node; });
  const mixer = new THREE.AnimationMixer(scene);
  if (animations.length) mixer.clipAction(animations[0]).play();

  const found = [];
  for (const time of times.split(",").map(Number)) {
    mixer.setTime(time);
    scene.updateMatrixWorld(true);
    mesh.skeleton?.update();
    const place = new THREE.Vector3();
    const rows = indices.split(",").map(Number);
    found.push(rows.map((row) => mesh.localToWorld(mesh.getVertexPosition(row, place)).toArray()));
  }
  console.log(JSON.stringify({
    found, material: mesh.material.type, bones: mesh.skeleton?.bones.length,
    targets: Object.keys(mesh.morphTargetDictionary ?? {}), clip: animations[0]?.duration,
  }));
}
