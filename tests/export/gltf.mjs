// What two others make of a .glb: Khronos's validator, and three.js with its own skinning.
//
//     node gltf.mjs FOLDER FILE validate                 FOLDER has node_modules: gltf-validator, three
//     node gltf.mjs FOLDER FILE pose TIME,TIME INDEX,... the vertices there, and all sets' joints by hand
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

  // three.js reads the first set; here all of them, from the attributes that it keeps
  const { attributes } = mesh.geometry;
  const sets = [["skinIndex", "skinWeight"], ["joints_1", "weights_1"], ["joints_2", "weights_2"]]
    .filter(([joint]) => attributes[joint]);
  const by_all = (index) => {
    const rest = new THREE.Vector3().fromBufferAttribute(attributes.position, index);
    const sum = new THREE.Vector3();
    let total = 0;
    for (const [joints, weights] of sets) {
      // the first set was normed when it was loaded: its share is what the others leave
      let share = 1;
      if (joints === "skinIndex") {
        for (const [, other] of sets.slice(1)) {
          for (let k = 0; k < 4; k++) share -= attributes[other].getComponent(index, k);
        }
      }
      for (let k = 0; k < 4; k++) {
        const weight = share * attributes[weights].getComponent(index, k);
        if (!weight) continue;
        const joint = attributes[joints].getComponent(index, k);
        const matrix = new THREE.Matrix4().multiplyMatrices(
          mesh.skeleton.bones[joint].matrixWorld, mesh.skeleton.boneInverses[joint]);
        sum.addScaledVector(rest.clone().applyMatrix4(matrix), weight);
        total += weight;
      }
    }
    return sum.divideScalar(total).toArray();
  };

  const found = [];
  for (const time of times.split(",").map(Number)) {
    mixer.setTime(time);
    scene.updateMatrixWorld(true);
    mesh.skeleton?.update();
    const place = new THREE.Vector3();
    const rows = indices.split(",").map(Number);
    found.push({
      shown: rows.map((row) => mesh.localToWorld(mesh.getVertexPosition(row, place)).toArray()),
      all: mesh.isSkinnedMesh ? rows.map(by_all) : null,
    });
  }
  console.log(JSON.stringify({
    found, material: mesh.material.type, bones: mesh.skeleton?.bones.length,
    targets: Object.keys(mesh.morphTargetDictionary ?? {}), clip: animations[0]?.duration,
  }));
}
