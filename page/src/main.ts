// The page: first the static texture, then, when they are loaded, the networks.

import { Hook } from "./hook";
import { listen } from "./hands";
import { Networks } from "./networks";
import { bandsOf, Painter, type LooksTold, type StaticTold } from "./painter";
import { Panel } from "./panel";
import { Person, type PersonTold } from "./person";
import { segment, textOf, unpacked } from "./segments";
import { Stage } from "./stage";

const status = document.getElementById("status")!;

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function begin(): Promise<void> {
  const person = new Person(await segment<PersonTold>((await textOf("person"))!));
  const stills = await segment<StaticTold>((await textOf("still"))!);
  const canvas = document.getElementById("picture") as HTMLCanvasElement;
  const gl = canvas.getContext("webgl2", { antialias: false, depth: false, preserveDrawingBuffer: true });
  if (gl === null) throw new Error("This page draws with WebGL2, which this browser hasn't, or has switched off.");
  const stage = new Stage(person, new Painter(gl, person, stills), canvas);
  const panel = new Panel(stage, document.getElementById("panel")!);
  listen(stage, panel.follow, panel.togglePlay);
  new ResizeObserver(() => stage.change()).observe(canvas);

  let trouble = person.told.system === "static" ? "" : "the networks are loading";
  const tell = () => {
    const fast = stage.playing ? ` · ${stage.framesASecond.toFixed(0)} frames a second` : "";
    status.textContent = stage.shows === "learned"
      ? `learned picture · networks by ${stage.networks!.by}${fast}`
      : `static texture${trouble === "" ? "" : ` · ${trouble}`}${fast}`;
  };
  const first = new Promise<void>((resolve) => {
    let followed = 0;
    stage.onPicture = () => {
      resolve();
      tell();
      // sliders that follow every picture of a motion take time that pictures need
      if (!stage.playing || performance.now() - followed < 200) return;
      followed = performance.now();
      panel.follow();
    };
  });
  stage.onFailure = (error) => {
    trouble = `the networks stopped: ${reason(error)}`;
    stage.networks = null;
    stage.change();
  };
  const learned = first.then(() => learn(stage)).then((loaded) => loaded, (error: unknown) => {
    trouble = `the networks can't run here: ${reason(error)}`;
    stage.change();
    return false;
  });
  canvas.addEventListener("webglcontextlost", () => {
    status.textContent = "The browser took the graphics away from this page. Load it again.";
  });
  Object.assign(window, { anr: new Hook(stage, first, learned) });
}

/** Load what was learned; false where the page has nothing but the static texture. */
async function learn(stage: Stage): Promise<boolean> {
  const text = await textOf("looks");
  if (text === null) return false;
  const looks = await segment<LooksTold>(text);
  const [code, model, runtime] = [await textOf("worker"), await textOf("model"), await textOf("runtime")];
  stage.painter.learn(looks);
  const by = location.hash === "#webgpu" ? "WebGPU" : location.hash === "#wasm" ? "WebAssembly" : "the faster";
  stage.networks = await Networks.load(await unpacked(code!), {
    model: await unpacked(model!), runtime: runtime!, bands: bandsOf(looks.told), by });
  stage.change();
  return true;
}

begin().catch((error: unknown) => { status.textContent = reason(error); });
