// Draws the person: vertices, faces, the static texture, the networks' channels, and the picture on the page.

import { centre, cropped, rowsOf, type Camera, type Rows } from "./camera";
import { Canvas, done, layers, Program, rows, table, type GL, type Table, type Target } from "./gpu";
import type { Person, Pose } from "./person";
import type { Segment } from "./segments";
import * as shaders from "./shaders";
import { fourFloats, fours, neighbours, pulled } from "./tables";

export interface StaticTold { charts: number; size: number }
export interface LooksTold {
  channels: number; charts: number; size: number; levels: number; light: number[][] | null; displaced: boolean;
}

/** A part of the picture: the pixel of its top left corner, and its size. */
export interface Window { x: number; y: number; width: number; height: number }

export interface Channels { window: Window; bands: number; values: Float32Array<ArrayBuffer> }

/** Behind the person: a colour, squares that stand for nothing, or a picture. */
export type Background = { colour: [number, number, number] } | { squares: true } | { image: ImageBitmap };

const MARGIN = 16;    // pixels of 256 around the mesh that networks fill with hair and clothes
const FINER = 3;      // times finer than the picture is drawn which face is seen: a rasterizer may round places
                      // to a sixteenth of a pixel, which at outlines was most of what differed
const FINEST = 512;   // pixels a side of pictures for which that is worth it

export class Painter {
  private readonly programs: Record<"skin" | "normals" | "faces" | "static" | "seen" | "show", Program>;
  private channels: Program | null = null;
  private readonly tables: Record<string, Table> = {};
  private readonly joints: ReturnType<typeof table> | null;
  private readonly recorded: ReturnType<typeof table> | null;
  private readonly high: number;
  private readonly canvases: Record<"places" | "moved" | "normals" | "faces" | "seen" | "static" | "channels", Canvas>;
  private shown: { table: Table; window: Window; size: [number, number]; outside: number[] } | null = null;
  private readonly learnedPicture: Table;
  private readonly backdrop: Table;
  private backdropImage: ImageBitmap | null = null;
  private looks: LooksTold | null = null;
  private readonly stills: StaticTold;
  private standing: Pose | null = null;
  private packing: WebGLBuffer;
  private packed = 0;
  /** How far from the person's middle anything of them may be, metres. */
  private readonly reach = 3;

  constructor(private readonly gl: GL, private readonly person: Person, stills: Segment<StaticTold>) {
    if (gl.getExtension("EXT_color_buffer_float") === null) {
      throw new Error("This browser's graphics can't draw on floating-point textures (EXT_color_buffer_float).");
    }
    const { arrays } = person;
    this.programs = {
      skin: new Program(gl, shaders.EVERYWHERE, shaders.SKIN),
      normals: new Program(gl, shaders.EVERYWHERE, shaders.NORMALS),
      faces: new Program(gl, shaders.FACES_VERTEX, shaders.FACES),
      static: new Program(gl, shaders.EVERYWHERE, shaders.STATIC),
      seen: new Program(gl, shaders.EVERYWHERE, shaders.SEEN),
      show: new Program(gl, shaders.EVERYWHERE, shaders.SHOW),
    };
    this.canvases = {
      places: new Canvas(gl, "RGBA32F"), moved: new Canvas(gl, "RGBA32F"), normals: new Canvas(gl, "RGBA32F"),
      faces: new Canvas(gl, "R32UI", true), seen: new Canvas(gl, "RGBA32F"), channels: new Canvas(gl, "RGBA32F"),
      static: new Canvas(gl, "RGBA8", false, true),
    };
    this.high = Math.ceil(person.vertexCount / shaders.WIDE);
    const corners = arrays["faces"]!;
    this.tables["faces"] = rows(gl, "RGBA32UI", fours(corners, arrays["part"]!));
    this.tables["uvFaces"] = rows(gl, "RGBA32UI", fours(arrays["uv_faces"]!, null));
    this.tables["uvs"] = rows(gl, "RG32F", Float32Array.from(arrays["uv"]!, (n) => n / 65535));
    if (person.jointed) {
      this.tables["rest"] = rows(gl, "RGBA32F", fourFloats(arrays["vertices"]!));
      const [spans, pulls] = pulled(arrays);
      this.tables["pullSpans"] = rows(gl, "RG32UI", spans);
      this.tables["pulls"] = rows(gl, "RG32F", pulls);
    }
    this.joints = person.jointed ? table(gl, "RGBA32F", 3, person.told.parents!.length) : null;
    this.recorded = person.jointed ? null : table(gl, "RGBA32F", shaders.WIDE, this.high);
    this.stills = stills.told;
    this.tables["colours"] = layers(gl, "RGBA8", stills.shapes["colour"]!, stills.arrays["colour"]!);
    this.learnedPicture = { texture: smooth(gl), array: false };
    this.backdrop = { texture: smooth(gl), array: false };
    this.packing = gl.createBuffer()!;
    gl.disable(gl.BLEND);
    gl.disable(gl.CULL_FACE);
    gl.disable(gl.DITHER);
  }

  /** Textures of what was learned; before, the static texture alone is drawn. */
  learn(looks: Segment<LooksTold>): void {
    const { gl, person } = this, { told, arrays, shapes } = looks;
    this.looks = told;
    this.tables["levels"] = layers(gl, "RGBA16F", shapes["texture"]!, arrays["texture"]!);
    const [spans, around] = neighbours(person.arrays["faces"]!, person.vertexCount);
    this.tables["faceSpans"] = rows(gl, "RG32UI", spans);
    this.tables["around"] = rows(gl, "RGBA32UI", around);
    if (told.light === null) {
      this.channels = new Program(gl, shaders.EVERYWHERE, shaders.DEFERRED_CHANNELS);
      return;
    }
    this.channels = new Program(gl, shaders.EVERYWHERE, shaders.ANR_CHANNELS);
    this.tables["seenTexels"] = layers(gl, "R16F", shapes["seen"]!, arrays["seen"]!);
    this.tables["offsets"] = rows(gl, "R32F", arrays["displacement"]!);
  }

  /** Move the vertices into a pose. */
  private stand(pose: Pose): void {
    const { gl, person } = this;
    if (this.standing === pose) return;
    person.stand(pose);
    if (this.joints !== null) {
      this.joints.update(person.matrices);
      this.programs.skin.draw(this.canvases.places.sized(shaders.WIDE, this.high), {
        count: person.vertexCount, rest: this.tables["rest"]!, spans: this.tables["pullSpans"]!,
        pulls: this.tables["pulls"]!, joints: this.joints });
    } else {
      const places = new Float32Array(4 * shaders.WIDE * this.high);
      for (let vertex = 0; vertex < person.vertexCount; vertex++) {
        places.set(person.vertexOfFrame(pose.frame, vertex), 4 * vertex);
      }
      this.recorded!.update(places);
    }
    this.standing = pose;
    gl.flush();
  }

  private get places(): Table {
    return this.recorded ?? this.canvases.places.sized(shaders.WIDE, this.high);
  }

  private rowsOf(pose: Pose, camera: Camera): Rows {
    const weak = this.person.told.weak;
    return rowsOf(camera, weak ? this.person.mean(pose) : this.person.root, this.reach, weak);
  }

  /** The part of the picture in which the person is, on a grid that the networks need. */
  private window(pose: Pose, view: Rows, margin: number): Window {
    const probes = this.person.arrays["probes"]!, places = this.person.places(probes, pose);
    const [height, width] = view.size, far = 1.5 * this.person.told.reach + 0.05;
    const grid = this.person.told.stride;
    let left = width, top = height, right = 0, bottom = 0;
    for (let at = 0; at < places.length; at += 3) {
      const [u, v, w] = view.rows.map((row) =>
        row[0]! * places[at]! + row[1]! * places[at + 1]! + row[2]! * places[at + 2]! + row[3]!) as
        [number, number, number, number];
      if (w < 0.05) return { x: 0, y: 0, width, height };  // so near that all of the picture may be filled
      const x = u / w, y = v / w, around = margin + far * view.camera.K[0]![0]! / w;
      left = Math.min(left, x - around); right = Math.max(right, x + around);
      top = Math.min(top, y - around); bottom = Math.max(bottom, y + around);
    }
    const low = (n: number, end: number) => Math.min(Math.max(0, Math.floor(n / grid) * grid), end - grid);
    const high = (n: number, end: number) => Math.max(grid, Math.min(end, Math.ceil(n / grid) * grid));
    const x = low(left, width), y = low(top, height);
    return { x, y, width: Math.max(grid, high(right, width) - x), height: Math.max(grid, high(bottom, height) - y) };
  }

  private drawFaces(places: Table, view: Rows): Target {
    const { gl } = this, [height, width] = view.size, finer = finerOf(view);
    const target = this.canvases.faces.sized(finer * width, finer * height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, target.frame);
    gl.clearBufferuiv(gl.COLOR, 0, [0, 0, 0, 0]);
    gl.clearBufferfv(gl.DEPTH, 0, [1]);
    gl.enable(gl.DEPTH_TEST);
    this.programs.faces.draw(target, { ...this.surface(places, view), size: [width, height],
                                       depth: view.rows[3]!, range: [view.near, view.far] },
                             3 * this.person.faceCount);
    gl.disable(gl.DEPTH_TEST);
    return target;
  }

  private surface(places: Table, view: Rows) {
    return { places, faces: this.tables["faces"]!, uvFaces: this.tables["uvFaces"]!, uvs: this.tables["uvs"]!,
             u: view.rows[0]!, v: view.rows[1]!, w: view.rows[2]!, finer: finerOf(view) };
  }

  /** Draw the static texture; \`show\` shows it. */
  drawStatic(pose: Pose, camera: Camera): Target {
    this.stand(pose);
    const view = this.rowsOf(pose, camera), [height, width] = view.size;
    const seenFaces = this.drawFaces(this.places, view), target = this.canvases.static.sized(width, height);
    this.programs.static.draw(target, { ...this.surface(this.places, view), seenFaces, charts: this.stills.charts,
                                        colours: this.tables["colours"]!, side: this.stills.size });
    this.shown = { table: target, window: { x: 0, y: 0, width, height }, size: view.size, outside: [0, 0, 0, 0] };
    return target;
  }

  /** Pixels (H, W, 4) of a target of 8 bits, the top row first. */
  read(target: Target): Uint8Array {
    const { gl } = this, pixels = new Uint8Array(4 * target.width * target.height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, target.frame);
    gl.readPixels(0, 0, target.width, target.height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    return pixels;
  }

  /** What the networks are given. spare: of an earlier call, to be written again if it is as long. */
  async drawChannels(pose: Pose, camera: Camera, spare: Float32Array<ArrayBuffer> | null, whole = false):
      Promise<Channels> {
    const { gl, looks, person } = this;
    if (looks === null || this.channels === null) throw new Error("What was learned is not loaded yet.");
    this.stand(pose);
    const full = this.rowsOf(pose, camera), [H, W] = full.size;
    const window = whole ? { x: 0, y: 0, width: W, height: H }
      : this.window(pose, full, MARGIN * Math.min(H, W) / 256);
    const view = cropped(full, window.x, window.y, window.width, window.height);
    const groups = Math.ceil(looks.channels / 4);
    let places = this.places, normals = places;
    if (looks.displaced) {
      const around = { count: person.vertexCount, spans: this.tables["faceSpans"]!, around: this.tables["around"]!,
                       offsets: this.tables["offsets"]! };
      const moved = this.canvases.moved.sized(shaders.WIDE, this.high);
      this.programs.normals.draw(moved, { ...around, places, move: true });
      const turned = this.canvases.normals.sized(shaders.WIDE, this.high);
      this.programs.normals.draw(turned, { ...around, places: moved, move: false });
      places = moved; normals = turned;
    }
    const bands = bandsOf(looks);
    const seenFaces = this.drawFaces(places, view);
    const eye = full.weak ? [...full.camera.R[2]!.map((n) => -n), 0] : [...centre(camera), 1];
    const seen = this.canvases.seen.sized(window.width, 2 * window.height);
    this.programs.seen.draw(seen, { ...this.surface(places, view), seenFaces, charts: looks.charts, normals, eye,
                                    directions: looks.light === null, height: window.height });
    const target = this.canvases.channels.sized(window.width, bands * window.height);
    this.channels.draw(target, {
      seen, levels: this.tables["levels"]!, side: looks.size, levelCount: looks.levels, groups,
      height: window.height, turn: camera.R.flat(),
      ...(looks.light === null ? {} : { light: looks.light.flat(), seenTexels: this.tables["seenTexels"]! }) });
    const count = 4 * window.width * bands * window.height;
    if (this.packed !== count) {
      gl.deleteBuffer(this.packing);
      this.packing = gl.createBuffer()!;
    }
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, this.packing);
    if (this.packed !== count) {
      gl.bufferData(gl.PIXEL_PACK_BUFFER, 4 * count, gl.STREAM_READ);
      this.packed = count;
    }
    gl.readPixels(0, 0, window.width, bands * window.height, gl.RGBA, gl.FLOAT, 0);
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
    await done(gl);
    const values = spare?.length === count ? spare : new Float32Array(count);
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, this.packing);
    gl.getBufferSubData(gl.PIXEL_PACK_BUFFER, 0, values);
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
    return { window, bands, values };
  }

  /**
   * Take what the networks have drawn, to be shown from now on.
   *
   * pixels   (H, W, 4) of the window: colour times mask, and mask
   * nothing  straight colour and mask of all else
   */
  take(pixels: Uint8Array, window: Window, size: [number, number], nothing: readonly number[]): void {
    const { gl } = this;
    gl.bindTexture(gl.TEXTURE_2D, this.learnedPicture.texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, window.width, window.height, 0, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    const [red, green, blue, mask] = nothing as [number, number, number, number];
    this.shown = { table: this.learnedPicture, window, size, outside: [red * mask, green * mask, blue * mask, mask] };
  }

  /** Put on the page what was drawn last, as large as fits. */
  show(background: Background): void {
    const { gl, shown } = this;
    if (shown === null) return;
    const width = gl.drawingBufferWidth, height = gl.drawingBufferHeight, [H, W] = shown.size;
    const scale = Math.min(width / W, height / H), left = (width - scale * W) / 2, top = (height - scale * H) / 2;
    const { window } = shown;
    const values = { picture: shown.table, backdrop: this.backdrop, canvas: [width, height], behind: 0,
                     colour: [0, 0, 0], cover: [1, 1], outside: shown.outside,
                     window: [left + scale * window.x, top + scale * window.y, scale * window.width,
                              scale * window.height] };
    if ("colour" in background) values.colour = background.colour;
    else if ("squares" in background) values.behind = 1;
    else {
      const { image } = background;
      if (this.backdropImage !== image) {
        gl.bindTexture(gl.TEXTURE_2D, this.backdrop.texture);
        gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, image);
        this.backdropImage = image;
      }
      const fit = (width / height) / (image.width / image.height);
      values.behind = 2;
      values.cover = fit > 1 ? [1, 1 / fit] : [fit, 1];
    }
    this.programs.show.draw(null, values);
  }
}

/** How many times four channels the networks are given. */
export const bandsOf = (looks: LooksTold): number => Math.ceil(looks.channels / 4) + (looks.light === null ? 0 : 2);

const finerOf = (view: Rows): number => Math.max(...view.size) > FINEST ? 1 : FINER;

function smooth(gl: GL): WebGLTexture {
  const made = gl.createTexture()!;
  gl.bindTexture(gl.TEXTURE_2D, made);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, 1, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, side, gl.LINEAR);
  for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
  return made;
}
