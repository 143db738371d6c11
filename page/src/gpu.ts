// WebGL2 in few words: programs whose uniforms are set by name, textures that hold tables, targets to draw on.

import { WIDE } from "./shaders";
import type { Numbers } from "./segments";

export type GL = WebGL2RenderingContext;
type Value = number | boolean | readonly number[] | Float32Array | Table;

export interface Table { texture: WebGLTexture; array: boolean }

/** A texture to draw on. */
export interface Target extends Table { frame: WebGLFramebuffer; width: number; height: number }

export class Program {
  private readonly program: WebGLProgram;
  private readonly places = new Map<string, { at: WebGLUniformLocation; type: number; unit: number }>();

  constructor(private readonly gl: GL, vertex: string, fragment: string) {
    this.program = gl.createProgram()!;
    for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]] as const) {
      const shader = gl.createShader(kind)!;
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(this.program, shader);
    }
    gl.linkProgram(this.program);
  }

  private find(): void {
    const { gl, program } = this;
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
      const said = (gl.getAttachedShaders(program) ?? []).map((shader) => gl.getShaderInfoLog(shader)).join("");
      throw new Error(`This browser's graphics can't run a shader: ${said || gl.getProgramInfoLog(program)}`);
    }
    let unit = 0;
    const count = gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS) as number;
    for (let index = 0; index < count; index++) {
      const { name, type } = gl.getActiveUniform(program, index)!;
      const sampler = ([gl.SAMPLER_2D, gl.SAMPLER_2D_ARRAY, gl.UNSIGNED_INT_SAMPLER_2D] as number[]).includes(type);
      this.places.set(name.replace("[0]", ""), { at: gl.getUniformLocation(program, name)!, type,
                                                  unit: sampler ? unit++ : -1 });
    }
  }

  /** Draw triangles with these uniforms; names that the shader doesn't use are passed over. */
  draw(target: Target | null, values: Record<string, Value>, vertices = 3): void {
    const { gl } = this;
    if (this.places.size === 0) this.find();
    gl.bindFramebuffer(gl.FRAMEBUFFER, target?.frame ?? null);
    gl.viewport(0, 0, target?.width ?? gl.drawingBufferWidth, target?.height ?? gl.drawingBufferHeight);
    gl.useProgram(this.program);
    for (const [name, value] of Object.entries(values)) {
      const place = this.places.get(name);
      if (place === undefined) continue;
      const { at, type, unit } = place;
      if (typeof value === "boolean" || typeof value === "number") {
        if (type === gl.FLOAT) gl.uniform1f(at, Number(value)); else gl.uniform1i(at, Number(value));
      } else if ("texture" in value) {
        gl.activeTexture(gl.TEXTURE0 + unit);
        gl.bindTexture(value.array ? gl.TEXTURE_2D_ARRAY : gl.TEXTURE_2D, value.texture);
        gl.uniform1i(at, unit);
      } else if (type === gl.FLOAT_VEC2) gl.uniform2fv(at, value as number[]);
      else if (type === gl.FLOAT_VEC3) gl.uniform3fv(at, value as number[]);
      else if (type === gl.FLOAT_VEC4) gl.uniform4fv(at, value as number[]);
      else gl.uniformMatrix3fv(at, true, value as number[]);
    }
    gl.drawArrays(gl.TRIANGLES, 0, vertices);
  }
}

function texture(gl: GL, array: boolean, filter: number): WebGLTexture {
  const made = gl.createTexture()!, kind = array ? gl.TEXTURE_2D_ARRAY : gl.TEXTURE_2D;
  gl.bindTexture(kind, made);
  for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(kind, side, filter);
  for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(kind, side, gl.CLAMP_TO_EDGE);
  return made;
}

type Format = "R32F" | "RG32F" | "RGBA32F" | "RG32UI" | "RGBA32UI" | "R32UI" | "RGBA16F" | "R16F" | "RGBA8";

function format(gl: GL, name: Format): [inner: number, outer: number, kind: number, channels: number] {
  switch (name) {
    case "R32F": return [gl.R32F, gl.RED, gl.FLOAT, 1];
    case "RG32F": return [gl.RG32F, gl.RG, gl.FLOAT, 2];
    case "RGBA32F": return [gl.RGBA32F, gl.RGBA, gl.FLOAT, 4];
    case "R32UI": return [gl.R32UI, gl.RED_INTEGER, gl.UNSIGNED_INT, 1];
    case "RG32UI": return [gl.RG32UI, gl.RG_INTEGER, gl.UNSIGNED_INT, 2];
    case "RGBA32UI": return [gl.RGBA32UI, gl.RGBA_INTEGER, gl.UNSIGNED_INT, 4];
    case "RGBA16F": return [gl.RGBA16F, gl.RGBA, gl.HALF_FLOAT, 4];
    case "R16F": return [gl.R16F, gl.RED, gl.HALF_FLOAT, 1];
    case "RGBA8": return [gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, 4];
  }
}

/** Rows of numbers, WIDE rows side by side: row i is at \`spot(i)\`. */
export function rows(gl: GL, name: Format, values: Numbers): Table {
  const [inner, outer, kind, channels] = format(gl, name);
  const height = Math.max(1, Math.ceil(values.length / channels / WIDE));
  const padded = new (values.constructor as new (count: number) => Numbers)(height * WIDE * channels);
  padded.set(values);
  const made = texture(gl, false, gl.NEAREST);
  gl.texImage2D(gl.TEXTURE_2D, 0, inner, WIDE, height, 0, outer, kind, padded);
  return { texture: made, array: false };
}

/** A table of its own width; \`update\` fills it anew. */
export function table(gl: GL, name: Format, width: number, height: number): Table & { update(values: Numbers): void } {
  const [inner, outer, kind] = format(gl, name);
  const made = texture(gl, false, gl.NEAREST);
  gl.texImage2D(gl.TEXTURE_2D, 0, inner, width, height, 0, outer, kind, null);
  return { texture: made, array: false, update(values) {
    gl.bindTexture(gl.TEXTURE_2D, made);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, width, height, outer, kind, values);
  } };
}

/** Pictures of one size as layers. */
export function layers(gl: GL, name: Format, shape: readonly number[], values: Numbers): Table {
  const [inner, outer, kind] = format(gl, name);
  const made = texture(gl, true, gl.NEAREST);
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  gl.texImage3D(gl.TEXTURE_2D_ARRAY, 0, inner, shape[2]!, shape[1]!, shape[0]!, 0, outer, kind, values);
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 4);
  return { texture: made, array: true };
}

/** Something to draw on, made anew when its size changes. */
export class Canvas {
  private now: (Target & { depth: WebGLRenderbuffer | null }) | null = null;

  constructor(private readonly gl: GL, private readonly name: Format, private readonly deep = false,
              private readonly smooth = false) {}

  sized(width: number, height: number): Target {
    const { gl } = this;
    if (this.now !== null && this.now.width === width && this.now.height === height) return this.now;
    if (this.now !== null) {
      gl.deleteFramebuffer(this.now.frame);
      gl.deleteTexture(this.now.texture);
      gl.deleteRenderbuffer(this.now.depth);
    }
    const made = texture(gl, false, this.smooth ? gl.LINEAR : gl.NEAREST), frame = gl.createFramebuffer()!;
    gl.texStorage2D(gl.TEXTURE_2D, 1, format(gl, this.name)[0], width, height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, made, 0);
    let depth: WebGLRenderbuffer | null = null;
    if (this.deep) {
      depth = gl.createRenderbuffer();
      gl.bindRenderbuffer(gl.RENDERBUFFER, depth);
      gl.renderbufferStorage(gl.RENDERBUFFER, gl.DEPTH_COMPONENT24, width, height);
      gl.framebufferRenderbuffer(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.RENDERBUFFER, depth);
    }
    this.now = { texture: made, array: false, frame, width, height, depth };
    return this.now;
  }
}

/** Wait until what was asked of the GPU is done, without holding the page up. */
export async function done(gl: GL): Promise<void> {
  const fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0)!;
  gl.flush();
  while (!gl.isContextLost() && gl.clientWaitSync(fence, 0, 0) === gl.TIMEOUT_EXPIRED) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  gl.deleteSync(fence);
}
