// Segments of the page: gzip in base64, of a header's length, the header and arrays. See packing.py.

export type Numbers =
  | Float32Array<ArrayBuffer> | Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer>
  | Int16Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

export interface Segment<Told> {
  told: Told;
  arrays: Record<string, Numbers>;
  shapes: Record<string, number[]>;
}

const KINDS = {
  float32: Float32Array, uint8: Uint8Array, uint16: Uint16Array, int16: Int16Array, uint32: Uint32Array,
};

/** The text of a segment, once the browser has read all of it; null where the page has none of that name. */
export async function textOf(name: string): Promise<string | null> {
  const complete = () => document.getElementById(`after-${name}`) !== null;
  if (!complete() && document.readyState === "loading") {
    await new Promise<void>((resolve) => {
      const observer = new MutationObserver(() => {
        if (complete() || document.readyState !== "loading") { observer.disconnect(); resolve(); }
      });
      observer.observe(document.documentElement, { childList: true, subtree: true });
      document.addEventListener("DOMContentLoaded", () => { observer.disconnect(); resolve(); });
    });
  }
  const element = document.getElementById(name);
  const text = element?.textContent ?? null;
  element?.remove();  // megabytes of text are not kept beside what is made of them
  return text;
}

/** What gzip in base64 holds. */
export async function unpacked(text: string): Promise<ArrayBuffer> {
  const letters = atob(text.trim());
  const bytes = new Uint8Array(letters.length);
  for (let index = 0; index < letters.length; index++) bytes[index] = letters.charCodeAt(index);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return await new Response(stream).arrayBuffer();
}

export async function segment<Told>(text: string): Promise<Segment<Told>> {
  const content = await unpacked(text);
  const length = new DataView(content).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(content, 4, length)));
  const arrays: Record<string, Numbers> = {}, shapes: Record<string, number[]> = {};
  for (const [name, place] of Object.entries<{ kind: string; shape: number[]; start: number }>(header.arrays)) {
    const Kind = KINDS[place.kind as keyof typeof KINDS];
    const count = place.shape.reduce((a, b) => a * b, 1);
    arrays[name] = new Kind(content, 4 + length + place.start, count);
    shapes[name] = place.shape;
  }
  return { told: header.told as Told, arrays, shapes };
}
