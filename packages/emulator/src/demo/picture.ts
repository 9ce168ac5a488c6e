import { toPng, type Pixels } from "../png.ts";
import { fromHsl, mix, type Color } from "./color.ts";
import { createRandom } from "./random.ts";

/** What is drawn. */
export interface PictureOptions {
  readonly seed: number;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** Edge of the squares it is drawn in, in pixels: 1 is full detail. */
  readonly grain?: number;
}

/** A range of hills: its colour, and the height of its ridge for every column, both in parts of the picture's height. */
interface Range {
  readonly color: Color;
  readonly ridge: Float64Array;
}

/** Place and brightness from 0 to 1. */
interface Star {
  readonly x: number;
  readonly y: number;
  readonly light: number;
}

interface Scene {
  readonly top: Color;
  readonly middle: Color;
  readonly horizon: Color;
  readonly sun: { readonly x: number; readonly y: number; readonly radius: number; readonly color: Color };
  readonly stars: readonly Star[];
  readonly ranges: readonly Range[];
}

/** A landscape at some hour of some day, as PNG; the same bytes for the same options. */
export function drawPicture({ seed, width, height, grain = 1 }: PictureOptions): Buffer {
  const columns = Math.max(1, Math.ceil(width / grain));
  const rows = Math.max(1, Math.ceil(height / grain));
  const scene = imagine(createRandom(seed), columns, width / height);
  const small = paint(scene, columns, rows);
  return toPng(grain === 1 ? small : enlarge(small, width, height, grain));
}

function imagine(random: () => number, columns: number, aspect: number): Scene {
  const hue = 0.47 + random() * 0.45; // of the sky: teal, blue, violet, rose
  const accent = hue + (0.1 + random() * 0.17); // of the horizon, towards the warm side
  const night = random() < 0.3;
  const count = 5 + Math.floor(random() * 3);
  const ranges = Array.from({ length: count }, (_, index): Range => {
    const depth = (index + 1) / count;
    const share = depth ** 0.8;
    const lightness = night ? 0.42 - 0.37 * share : 0.74 - 0.64 * share;
    const color = fromHsl(accent + (hue - accent) * share, 0.55 - 0.2 * share, lightness);
    return { color, ridge: shape(random, columns, aspect, depth) };
  });
  return {
    top: fromHsl(hue, 0.6, night ? 0.1 : 0.45),
    middle: fromHsl((hue + accent) / 2, 0.55, night ? 0.22 : 0.64),
    horizon: fromHsl(accent, 0.75, night ? 0.45 : 0.84),
    sun: {
      x: (0.15 + random() * 0.7) * aspect,
      y: 0.18 + random() * 0.3,
      radius: 0.05 + random() * 0.07,
      color: fromHsl(accent + 0.06, 0.9, night ? 0.9 : 0.95),
    },
    stars: night ? Array.from({ length: 140 }, () => ({ x: random(), y: random() * 0.6, light: random() })) : [],
    ranges,
  };
}

/** Sums of waves: far ranges jagged and high, near ones broad and low. */
function shape(random: () => number, columns: number, aspect: number, depth: number): Float64Array {
  const waves = Array.from({ length: 6 }, (_, octave) => ({
    frequency: (1.2 + random()) * 1.9 ** octave * aspect,
    phase: random() * Math.PI * 2,
    size: (0.085 * (1.25 - depth * 0.75)) / 1.75 ** octave,
  }));
  return Float64Array.from({ length: columns }, (_, column) => {
    const x = ((column + 0.5) / columns) * Math.PI;
    const rise = waves.reduce((sum, { frequency, phase, size }) => sum + Math.sin(x * frequency + phase) * size, 0);
    return 0.42 + depth * 0.46 - rise;
  });
}

function paint(scene: Scene, width: number, height: number): Pixels {
  const rgb = new Uint8Array(width * height * 3);
  const aspect = width / height;
  for (let y = 0; y < height; y += 1) {
    const v = (y + 0.5) / height;
    const air = airAt(scene, v);
    for (let x = 0; x < width; x += 1) {
      const u = ((x + 0.5) / width) * aspect;
      const place = { column: x, u, v, pixel: 1 / height };
      rgb.set(colorAt(scene, place, air, scene.ranges.length - 1), (y * width + x) * 3);
    }
  }
  for (const star of scene.stars) sparkle(scene, { width, height, rgb }, star);
  return { width, height, rgb };
}

/** A point of the picture: `u` and `v` and the size of a pixel in parts of the height. */
interface Place {
  readonly column: number;
  readonly u: number;
  readonly v: number;
  readonly pixel: number;
}

function airAt({ top, middle, horizon }: Scene, v: number): Color {
  return v < 0.3 ? mix(top, middle, v / 0.3) : mix(middle, horizon, Math.min(1, (v - 0.3) / 0.3));
}

/** The colour of the nearest range here, from this one backwards, or of the sky; ridges are smoothed over one pixel. */
function colorAt(scene: Scene, place: Place, air: Color, nearest: number): Color {
  for (let index = nearest; index >= 0; index -= 1) {
    const range = scene.ranges[index];
    const below = place.v - (range?.ridge[place.column] ?? 1);
    if (range === undefined || below < 0) continue;
    const mist = Math.min(0.5, below * 1.9) * (1 - (index + 1) / scene.ranges.length);
    const ground = mix(range.color, scene.horizon, mist);
    return below >= place.pixel ? ground : mix(colorAt(scene, place, air, index - 1), ground, below / place.pixel);
  }
  return skyAt(scene, place, air);
}

function skyAt({ sun }: Scene, { u, v, pixel }: Place, air: Color): Color {
  const beyond = Math.hypot(u - sun.x, v - sun.y) - sun.radius;
  const far = Math.max(0, beyond / sun.radius);
  const glow = mix(air, sun.color, 0.75 / (1 + far * far * 0.9 + far * 1.2));
  return mix(sun.color, glow, Math.min(1, Math.max(0, beyond / pixel)));
}

function sparkle({ ranges }: Scene, { width, height, rgb }: Pixels, { x, y, light }: Star): void {
  const column = Math.floor(x * width);
  const row = Math.floor(y * height);
  if (ranges.some(({ ridge }) => y >= (ridge[column] ?? 0))) return;
  const at = (row * width + column) * 3;
  for (let channel = 0; channel < 3; channel += 1) {
    const there = rgb[at + channel] ?? 0;
    rgb[at + channel] = there + (255 - there) * (0.35 + light * 0.65);
  }
}

/** Every pixel becomes a square. */
function enlarge(small: Pixels, width: number, height: number, grain: number): Pixels {
  const rgb = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y += 1) {
    const row = Math.floor(y / grain) * small.width;
    for (let x = 0; x < width; x += 1) {
      const from = (row + Math.floor(x / grain)) * 3;
      const to = (y * width + x) * 3;
      rgb[to] = small.rgb[from] ?? 0;
      rgb[to + 1] = small.rgb[from + 1] ?? 0;
      rgb[to + 2] = small.rgb[from + 2] ?? 0;
    }
  }
  return { width, height, rgb };
}
