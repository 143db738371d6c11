// The shaders. Vertices are handled as pixels of textures WIDE across: one pass moves all of them with their
// joints, one gives them normals. A picture is drawn twice: first which face is seen behind each pixel's
// centre, then, of that face, weights, coordinates and channels, computed from the vertices themselves: what a
// rasterizer interpolates depends on how finely it rounds places, and these don't.

export const WIDE = 256;

const HEAD = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
precision highp sampler2DArray;
precision highp usampler2D;
const int WIDE = ${WIDE};
ivec2 spot(int index) { return ivec2(index % WIDE, index / WIDE); }
`;

/** Two triangles over everything; without buffers. */
export const EVERYWHERE = `${HEAD}
void main() {
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  gl_Position = vec4(4.0 * corner - 1.0, 0.0, 1.0);
}`;

const VERTEX = `
uniform int count;
int vertexOfPixel() { return int(gl_FragCoord.y) * WIDE + int(gl_FragCoord.x); }
`;

/** World places of vertices: rest places, moved with the joints that \`pulls\` names. */
export const SKIN = `${HEAD}${VERTEX}
uniform sampler2D rest;     // x y z
uniform usampler2D spans;   // where a vertex's pulls begin, how many
uniform sampler2D pulls;    // joint, weight
uniform sampler2D joints;   // rows of 3 x 4 matrices
out vec4 place;
void main() {
  int vertex = vertexOfPixel();
  if (vertex >= count) { place = vec4(0.0); return; }
  vec4 at = vec4(texelFetch(rest, spot(vertex), 0).xyz, 1.0);
  uvec2 span = texelFetch(spans, spot(vertex), 0).xy;
  vec3 sum = vec3(0.0);
  for (uint pull = 0u; pull < span.y; pull++) {
    vec2 one = texelFetch(pulls, spot(int(span.x + pull)), 0).xy;
    int joint = int(one.x);
    sum += one.y * vec3(dot(texelFetch(joints, ivec2(0, joint), 0), at),
                        dot(texelFetch(joints, ivec2(1, joint), 0), at),
                        dot(texelFetch(joints, ivec2(2, joint), 0), at));
  }
  place = vec4(sum, 1.0);
}`;

/** Unit normals of vertices, the mean of the faces around; or places moved out along them. */
export const NORMALS = `${HEAD}${VERTEX}
uniform sampler2D places;
uniform usampler2D spans;    // where a vertex's faces begin, how many
uniform usampler2D around;   // corners of these faces
uniform sampler2D offsets;   // metres
uniform bool move;
out vec4 result;
void main() {
  int vertex = vertexOfPixel();
  if (vertex >= count) { result = vec4(0.0); return; }
  uvec2 span = texelFetch(spans, spot(vertex), 0).xy;
  vec3 total = vec3(0.0);
  for (uint face = 0u; face < span.y; face++) {
    ivec3 corner = ivec3(texelFetch(around, spot(int(span.x + face)), 0).xyz);
    vec3 a = texelFetch(places, spot(corner.x), 0).xyz;
    total += cross(texelFetch(places, spot(corner.y), 0).xyz - a, texelFetch(places, spot(corner.z), 0).xyz - a);
  }
  vec3 normal = total / max(length(total), 1e-12);
  result = move ? vec4(texelFetch(places, spot(vertex), 0).xyz
                       + normal * texelFetch(offsets, spot(vertex), 0).x, 1.0) : vec4(normal, 0.0);
}`;

/** Which face is seen: its number and one, three vertices a face. Row 0 of what is drawn is the picture's top. */
export const FACES_VERTEX = `${HEAD}
uniform sampler2D places;
uniform usampler2D faces;
uniform vec4 u, v, w, depth;
uniform vec2 size;
uniform vec2 range;          // near, far
flat out uint face;
void main() {
  int index = gl_VertexID / 3, corner = gl_VertexID % 3;
  uvec4 corners = texelFetch(faces, spot(index), 0);
  vec4 at = vec4(texelFetch(places, spot(int(corners[corner])), 0).xyz, 1.0);
  float z = dot(depth, at), away = dot(w, at);
  // linear in depth before the division: the same order, and the same near plane, for both kinds of camera
  float far = (range.y + range.x) / (range.y - range.x), near = 2.0 * range.y * range.x / (range.y - range.x);
  float clip = w.xyz == vec3(0.0) ? away * (2.0 * (z - range.x) / (range.y - range.x) - 1.0) : far * z - near;
  gl_Position = vec4(2.0 * dot(u, at) / size.x - away, 2.0 * dot(v, at) / size.y - away, clip, away);
  face = uint(index) + 1u;
}`;

export const FACES = `${HEAD}
flat in uint face;
out uint seen;
void main() { seen = face; }`;

const SURFACE = `
uniform usampler2D seenFaces;
uniform sampler2D places;
uniform usampler2D faces;      // vertices of the corners, part
uniform usampler2D uvFaces;    // their coordinates' numbers
uniform sampler2D uvs;
uniform vec4 u, v, w;
uniform int charts;
uniform int finer;             // an odd number: its middle row and column are at the pixels' centres

ivec3 corners;
vec3 weights;
vec2 uv;
int chart;

/** What is behind the centre of a pixel; false where nothing is. */
bool look(ivec2 pixel) {
  uint seen = texelFetch(seenFaces, finer * pixel + finer / 2, 0).x;
  if (seen == 0u) return false;
  int face = int(seen) - 1;
  uvec4 found = texelFetch(faces, spot(face), 0);
  corners = ivec3(found.xyz);
  vec2 centre = vec2(pixel) + 0.5;
  vec3 x, y;
  for (int corner = 0; corner < 3; corner++) {
    vec4 at = vec4(texelFetch(places, spot(corners[corner]), 0).xyz, 1.0);
    float away = dot(w, at);
    x[corner] = dot(u, at) - centre.x * away;
    y[corner] = dot(v, at) - centre.y * away;
  }
  weights = cross(x, y);
  weights /= weights.x + weights.y + weights.z;
  ivec3 named = ivec3(texelFetch(uvFaces, spot(face), 0).xyz);
  uv = weights.x * texelFetch(uvs, spot(named.x), 0).xy + weights.y * texelFetch(uvs, spot(named.y), 0).xy
     + weights.z * texelFetch(uvs, spot(named.z), 0).xy;
  chart = charts > 1 ? int(found.w) - 1 : 0;
  return true;
}

vec3 onSurface(sampler2D values) {
  return weights.x * texelFetch(values, spot(corners.x), 0).xyz
       + weights.y * texelFetch(values, spot(corners.y), 0).xyz
       + weights.z * texelFetch(values, spot(corners.z), 0).xyz;
}

`;

const BILINEAR = `
/** Bilinear; beyond the outermost texel centres the border is repeated. Row 0 is the top. */
vec4 bilinear(sampler2DArray table, vec2 uv, int layer, ivec2 start, int side) {
  vec2 at = clamp(vec2(uv.x, 1.0 - uv.y) * float(side) - 0.5, 0.0, float(side) - 1.0);
  vec2 base = min(floor(at), max(float(side) - 2.0, 0.0)), share = at - base;
  ivec2 first = start + ivec2(base);
  int next = min(1, side - 1);
  vec4 top = mix(texelFetch(table, ivec3(first, layer), 0),
                 texelFetch(table, ivec3(first + ivec2(next, 0), layer), 0), share.x);
  vec4 bottom = mix(texelFetch(table, ivec3(first + ivec2(0, next), layer), 0),
                    texelFetch(table, ivec3(first + ivec2(next, next), layer), 0), share.x);
  return mix(top, bottom, share.y);
}
`;

/** The static texture: colour and 1 where the person is. */
export const STATIC = `${HEAD}${SURFACE}${BILINEAR}
uniform sampler2DArray colours;
uniform int side;
out vec4 colour;
void main() {
  if (!look(ivec2(gl_FragCoord.xy))) { colour = vec4(0.0); return; }
  colour = vec4(bilinear(colours, uv, chart, ivec2(0), side).rgb, 1.0);
}`;

const HARMONICS = `
const float R3 = 1.7320508075688772, R15 = 3.872983346207417, R5 = 2.23606797749979;
/** Nine real spherical harmonics of a unit direction, of degree 0 to 2; each has mean square 1. */
float[9] harmonics(vec3 d) {
  return float[9](1.0, R3 * d.y, R3 * d.z, R3 * d.x, R15 * d.x * d.y, R15 * d.y * d.z,
                  R5 / 2.0 * (3.0 * d.z * d.z - 1.0), R15 * d.x * d.z, R15 / 2.0 * (d.x * d.x - d.y * d.y));
}
`;

/**
 * Two bands of `height` rows: coordinates and chart, from 1, of what a pixel shows; below them the unit normal,
 * or the direction to the camera.
 */
export const SEEN = `${HEAD}${SURFACE}
uniform int height;
uniform bool directions;
uniform sampler2D normals;
uniform vec4 eye;              // the camera's place, 1; or where all rays come from, 0
out vec4 found;
void main() {
  int band = int(gl_FragCoord.y) / height;
  found = vec4(0.0);
  if (!look(ivec2(int(gl_FragCoord.x), int(gl_FragCoord.y) - band * height))) return;
  if (band == 0) found = vec4(uv, float(chart + 1), 0.0);
  else if (directions) found.xyz = eye.w > 0.0 ? normalize(eye.xyz - onSurface(places)) : eye.xyz;
  else {
    vec3 normal = onSurface(normals);
    found.xyz = normal / max(length(normal), 1e-12);
  }
}`;

/** Four channels of the networks' input in each band of `height` rows, one below the other. */
const CHANNELS = `${HEAD}${BILINEAR}${HARMONICS}
uniform sampler2D seen;
uniform sampler2DArray levels;
uniform int side, levelCount, groups, height;
out vec4 channels;

vec4 sampled(vec4 at, int group) {
  int layer = (int(at.z) - 1) * groups + group;
  vec4 sum = bilinear(levels, at.xy, layer, ivec2(0), side);
  ivec2 start = ivec2(0, side);
  for (int level = 1; level < levelCount; level++) {
    sum += bilinear(levels, at.xy, layer, start, side >> level);
    start.x += side >> level;
  }
  return sum;
}
`;

export const ANR_CHANNELS = `${CHANNELS}
uniform sampler2DArray seenTexels;
uniform vec3 light[9];
uniform mat3 turn;             // camera from world
void main() {
  int band = int(gl_FragCoord.y) / height;
  ivec2 pixel = ivec2(int(gl_FragCoord.x), int(gl_FragCoord.y) - band * height);
  vec4 at = texelFetch(seen, pixel, 0);
  channels = vec4(0.0);
  if (at.z == 0.0) return;
  if (band < groups) { channels = sampled(at, band); return; }
  vec3 normal = texelFetch(seen, pixel + ivec2(0, height), 0).xyz, turned = turn * normal;
  if (band == groups) {
    channels = vec4(bilinear(seenTexels, at.xy, int(at.z) - 1, ivec2(0), side).x, 1.0, turned.xy);
    return;
  }
  float[9] around = harmonics(normal);
  vec3 bright = vec3(0.0);
  for (int term = 0; term < 9; term++) bright += around[term] * light[term];
  channels = vec4(turned.z, sampled(at, 0).rgb * exp(bright));
}`;

export const DEFERRED_CHANNELS = `${CHANNELS}
void main() {
  int band = int(gl_FragCoord.y) / height;
  ivec2 pixel = ivec2(int(gl_FragCoord.x), int(gl_FragCoord.y) - band * height);
  vec4 at = texelFetch(seen, pixel, 0);
  channels = vec4(0.0);
  if (at.z == 0.0) return;
  vec4 found = sampled(at, band);
  float[9] around = harmonics(texelFetch(seen, pixel + ivec2(0, height), 0).xyz);
  for (int channel = 0; channel < 4; channel++) {
    int term = 4 * band + channel - 3;  // channels 3 to 11 follow the view
    if (term >= 0 && term < 9) found[channel] *= around[term];
  }
  channels = found;
}`;

/** The picture, whose colours are multiplied by its mask, over a background. */
export const SHOW = `${HEAD}
uniform sampler2D picture, backdrop;
uniform vec4 window;           // where the picture lies on the canvas: left, top, width, height, pixels
uniform vec2 canvas;
uniform int behind;            // 0 a colour, 1 squares, 2 a picture
uniform vec3 colour;
uniform vec4 outside;          // of the part of the picture that was drawn
uniform vec2 cover;            // share of the backdrop that is seen, across and down
out vec4 shown;
void main() {
  vec2 at = vec2(gl_FragCoord.x, canvas.y - gl_FragCoord.y);
  vec3 back = colour;
  if (behind == 1) {
    ivec2 square = ivec2(at / 12.0);
    back = vec3(0.8 - 0.2 * float((square.x + square.y) & 1));
  } else if (behind == 2) back = texture(backdrop, 0.5 + (at / canvas - 0.5) * cover).rgb;
  vec2 inside = (at - window.xy) / window.zw;
  vec4 front = outside;
  if (all(greaterThanEqual(inside, vec2(0.0))) && all(lessThan(inside, vec2(1.0)))) front = texture(picture, inside);
  shown = vec4(front.rgb + back * (1.0 - front.a), 1.0);
}`;
