// The sliders and buttons beside the picture, named as the notebook's panel names them.

import type { View } from "./camera";
import { within } from "./hands";
import type { Background } from "./painter";
import type { Stage } from "./stage";

const GROUPS = ["arms", "legs", "spine", "head", "hands"];
const VIEWS: [keyof View, string, string, number][] = [
  ["azimuth", "azimuth", "°", 1], ["elevation", "elevation", "°", 1], ["distance", "distance", "m", 0.05],
  ["field_of_view", "field of view", "°", 1]];
const SIDES: [string, number][] = [["front", 0], ["left", 90], ["back", 180], ["right", -90]];
const BACKGROUNDS: [string, Background][] = [
  ["grey", { colour: [0.5, 0.5, 0.5] }], ["white", { colour: [1, 1, 1] }], ["black", { colour: [0, 0, 0] }],
  ["green", { colour: [0.125, 0.627, 0.251] }], ["nothing", { squares: true }]];

type Attributes = Record<string, string | ((event: Event) => void)>;

function element<Name extends keyof HTMLElementTagNameMap>(
    name: Name, attributes: Attributes = {}, ...inside: (Node | string)[]): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "string") made.setAttribute(key, value);
    else made.addEventListener(key, value);
  }
  made.append(...inside);
  return made;
}

class Slider {
  readonly input: HTMLInputElement;
  readonly row: HTMLElement;
  private readonly output = element("output");

  constructor(label: string, [low, high]: [number, number], step: number, private readonly suffix: string,
              moved: (value: number) => void) {
    this.input = element("input", { type: "range", min: String(low), max: String(high), step: String(step),
                                    "aria-label": label,
                                    input: () => { moved(this.input.valueAsNumber); this.tell(); } });
    this.row = element("label", { class: "slider" }, element("span", {}, label), this.input, this.output);
  }

  show(value: number): void {
    this.input.valueAsNumber = value;
    this.tell();
  }

  private tell(): void {
    const fine = Number(this.input.step) < 1;
    this.output.textContent = `${this.input.valueAsNumber.toFixed(fine ? 2 : 0)} ${this.suffix}`;
  }
}

export class Panel {
  private readonly views = new Map<keyof View, Slider>();
  private readonly bends = new Map<string, Slider>();
  private readonly place: Slider | null = null;
  private readonly playButton: HTMLButtonElement;
  private both = false;

  constructor(private readonly stage: Stage, home: HTMLElement) {
    const { told } = stage.person;
    this.playButton = element("button", { type: "button", id: "play", click: () => this.togglePlay() }, "Play");
    if (stage.person.poseCount > 1) {
      this.place = new Slider("moment", [0, stage.person.seconds], 0.01, "s", (seconds) => {
        stage.playing = false;
        stage.goTo(stage.person.rowAt(seconds));
        this.follow();
      });
      home.append(section("Motion", true, element("p", { class: "told" }, told.motion),
                          element("div", { class: "buttons" }, this.playButton), this.place.row));
    }
    home.append(section("View", true, ...this.viewSliders()));
    if (stage.person.jointed) home.append(section("Pose", false, ...this.poseSliders()));
    home.append(section("Background", true, this.backgrounds()));
    this.follow();
  }

  private viewSliders(): Node[] {
    const { stage } = this, { limits, home } = stage.person.told;
    for (const [name, label, suffix, step] of VIEWS) {
      this.views.set(name, new Slider(label, limits[name], step, suffix, (value) => {
        stage.view[name] = value;
        stage.change();
      }));
    }
    const look = (changes: Partial<View>) => () => {
      for (const [name, value] of Object.entries(changes) as [keyof View, number][]) {
        stage.view[name] = within(limits, name, value);
      }
      stage.change();
      this.follow();
    };
    return [...[...this.views.values()].map((slider) => slider.row), element("div", { class: "buttons" },
      ...SIDES.map(([name, azimuth]) => element("button", { type: "button", click: look({ azimuth }) }, name)),
      element("button", { type: "button", click: look(home) }, "reset view"))];
  }

  private poseSliders(): Node[] {
    const { stage } = this, { person } = stage;
    for (const [name, [, bend]] of person.bends) {
      this.bends.set(name, new Slider(name, [Math.round(bend.low), Math.round(bend.high)], 1, "°", (degrees) => {
        stage.playing = false;
        stage.pose = person.bent(stage.pose, name, degrees);
        if (this.both && bend.mirror !== name) stage.pose = person.bent(stage.pose, bend.mirror, degrees);
        stage.change();
        this.follow();
      }));
    }
    const choose = (pose: () => typeof stage.pose) => () => {
      stage.playing = false;
      stage.pose = pose();
      stage.change();
      this.follow();
    };
    const presets = Object.entries(person.told.poses).map(([name, rotations]) => element("button", {
      type: "button", click: choose(() => ({ ...person.pose(0), rotations: Float32Array.from(rotations.flat()) })),
    }, name));
    const both = element("input", { type: "checkbox", change: () => { this.both = both.checked; } });
    const groups = GROUPS.flatMap((group) => {
      const found = [...person.bends.values()].filter(([, bend]) => bend.group === group)
        .map(([, bend]) => this.bends.get(bend.name)!.row);
      return found.length > 0 ? [element("details", {}, element("summary", {}, group), ...found)] : [];
    });
    return [element("div", { class: "buttons" }, ...presets, element("button", {
      type: "button", click: choose(() => person.pose(stage.row)) }, "reset pose")),
    element("label", { class: "check" }, both, "both sides together"), ...groups];
  }

  private backgrounds(): HTMLElement {
    const { stage } = this;
    const put = (background: Background) => { stage.background = background; stage.change(); };
    const buttons = BACKGROUNDS.map(([name, background]) =>
      element("button", { type: "button", click: () => put(background) }, name));
    const colour = element("input", { type: "color", value: "#808080", "aria-label": "colour behind", input: () => {
      const number = Number.parseInt(colour.value.slice(1), 16);
      put({ colour: [(number >> 16) / 255, (number >> 8 & 255) / 255, (number & 255) / 255] });
    } });
    const file = element("input", { type: "file", accept: "image/*", hidden: "", change: () => {
      const [chosen] = file.files ?? [];
      if (chosen !== undefined) createImageBitmap(chosen).then((image) => put({ image }), () => {});
    } });
    return element("div", { class: "buttons" }, ...buttons, colour,
                   element("button", { type: "button", click: () => file.click() }, "picture ..."), file);
  }

  readonly togglePlay = (): void => {
    if (this.stage.person.poseCount < 2) return;
    this.stage.play(!this.stage.playing);
    this.follow();
  };

  /** Let the sliders say what is shown. */
  readonly follow = (): void => {
    const { stage } = this;
    for (const [name, slider] of this.views) slider.show(stage.view[name]);
    if (stage.person.jointed) for (const [name, degrees] of stage.person.read(stage.pose)) {
      this.bends.get(name)!.show(degrees);
    }
    this.place?.show(stage.person.secondsAt(stage.row));
    this.playButton.textContent = stage.playing ? "Pause" : "Play";
  };
}

function section(title: string, open: boolean, ...inside: Node[]): HTMLElement {
  return element("details", { class: "section", ...(open ? { open: "" } : {}) },
                 element("summary", {}, title), ...inside);
}
