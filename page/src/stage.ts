// What is shown now, and the loop that draws it: of what is asked for meanwhile only the newest is drawn.

import { orbit, type Camera, type View } from "./camera";
import { Networks, premultiplied } from "./networks";
import type { Background, Painter } from "./painter";
import type { Person, Pose } from "./person";
import { added } from "./turns";

const WIDEST = 2.5;  // of a picture's shorter side: what lies farther out in a long window is background

export class Stage {
  pose: Pose;
  view: View;
  background: Background = { colour: [0.5, 0.5, 0.5] };
  networks: Networks | null = null;
  playing = false;
  row = 0;
  framesASecond = 0;
  /** Which of the two pictures is on the page. */
  shows: "nothing" | "static" | "learned" = "nothing";
  /** Told after each picture. */
  onPicture: () => void = () => {};
  onFailure: (error: unknown) => void = () => {};
  private wanted = 1;
  private drawn = 0;
  private busy = false;
  /** The picture that the networks draw while the next one's channels are made. */
  private drawing: Promise<void> = Promise.resolve();
  private preparing = 0;  // milliseconds that channels took
  private soonest = 0;    // when to make the next ones, so that they are new when the networks are free
  private readonly times: number[] = [];
  private started = 0;
  /** While somebody else draws, as a test does. */
  held = 0;

  constructor(readonly person: Person, readonly painter: Painter, readonly canvas: HTMLCanvasElement) {
    this.pose = person.pose(0);
    this.view = { ...person.told.home };
    requestAnimationFrame(this.tick);
  }

  /** Something has changed: draw. */
  change(): void { this.wanted++; }

  play(on: boolean): void {
    this.playing = on;
    this.started = performance.now() / 1000 - this.person.secondsAt(this.row);
    this.times.length = 0;
    this.change();
  }

  goTo(row: number): void {
    this.row = row;
    this.pose = this.person.pose(row);
    this.started = performance.now() / 1000 - this.person.secondsAt(row);
    this.change();
  }

  /** Who watches sees the shorter side of the window filled as a square picture would be. */
  size(side: number): [number, number] {
    const width = Math.max(1, this.canvas.clientWidth), height = Math.max(1, this.canvas.clientHeight);
    const shorter = Math.min(width, height);
    const { stride } = this.person.told;
    const round = (n: number) =>
      Math.max(stride, Math.round(Math.min(n / shorter, WIDEST) * side / stride) * stride);
    return [round(height), round(width)];
  }

  camera(size: [number, number]): Camera {
    const { person } = this, { told } = person;
    person.stand(this.pose);
    return orbit(added(person.root, told.offset), told.front, told.up, this.view, Math.min(...size), size);
  }

  private readonly tick = (): void => {
    requestAnimationFrame(this.tick);
    if (this.held > 0) return;
    if (this.playing) {
      this.row = this.person.rowAt(performance.now() / 1000 - this.started);
      if (!this.busy) { this.pose = this.person.pose(this.row); this.wanted++; }
    }
    if (this.busy || this.drawn === this.wanted || performance.now() < this.soonest) return;
    this.busy = true;
    this.drawn = this.wanted;
    this.draw().catch(this.onFailure).finally(() => { this.busy = false; });
  };

  /** Wait until no picture is on its way. */
  async idle(): Promise<void> {
    while (this.busy) await new Promise((resolve) => setTimeout(resolve, 1));
    await this.drawing;
  }

  private async draw(): Promise<void> {
    if (this.networks === null) {
      const ratio = Math.min(2, window.devicePixelRatio || 1);
      const side = Math.min(1024, Math.round(ratio * Math.min(this.canvas.clientWidth, this.canvas.clientHeight)));
      this.painter.drawStatic(this.pose, this.camera(this.size(side)));
      this.present("static");
      return;
    }
    const { networks } = this, camera = this.camera(this.size(this.person.told.size)), began = performance.now();
    const channels = await this.painter.drawChannels(this.pose, camera, networks.takeSpare());
    this.preparing = performance.now() - began;
    const { window: part } = channels;
    await this.drawing;
    if (this.networks === null) return;
    this.soonest = performance.now() + networks.milliseconds - 1.5 * this.preparing;
    this.drawing = networks.draw(channels).then((picture) => {
      this.painter.take(premultiplied(picture), part, camera.size, networks.nothing);
      this.present("learned");
    }).catch(this.onFailure);
  }

  private present(what: "static" | "learned"): void {
    this.resize();
    this.painter.show(this.background);
    this.shows = what;
    const now = performance.now();
    this.times.push(now);
    while (this.times.length > 2 && now - this.times[0]! > 2000) this.times.shift();
    this.framesASecond = this.times.length > 1 ? 1000 * (this.times.length - 1) / (now - this.times[0]!) : 0;
    this.onPicture();
  }

  /** The canvas has as many pixels as it covers on the screen. */
  private resize(): void {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const width = Math.max(1, Math.round(ratio * this.canvas.clientWidth));
    const height = Math.max(1, Math.round(ratio * this.canvas.clientHeight));
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
  }
}
