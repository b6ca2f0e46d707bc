/** Masks of objects, and the brush that paints them. */

import { boxBetween, union } from "./geometry";
import type { Box, Mask } from "./scene";

/** Side in cells of masks that are made here. */
const CELLS = 64;

/** Cells row by row: 1 inside, 0 outside. */
export interface Cells {
  readonly height: number;
  readonly width: number;
  readonly values: Uint8Array;
}

export function decodeMask({ size: [height, width], counts }: Mask): Cells {
  const values = new Uint8Array(height * width);
  let at = 0;
  counts.forEach((count, number) => {
    if (number % 2)
      for (let cell = at; cell < at + count; cell += 1) values[(cell % height) * width + Math.floor(cell / height)] = 1;
    at += count;
  });
  return { height, width, values };
}

export function encodeMask({ height, width, values }: Cells): Mask {
  const counts: number[] = [];
  let current = 0;
  let count = 0;
  for (let x = 0; x < width; x += 1) {
    for (let y = 0; y < height; y += 1) {
      const value = values[y * width + x]!;
      if (value !== current) {
        counts.push(count);
        [current, count] = [value, 0];
      }
      count += 1;
    }
  }
  return { size: [height, width], counts: [...counts, count] };
}

export interface Brush {
  /** Points on the canvas, in fractions of it. */
  readonly points: readonly (readonly [number, number])[];
  /** In fractions of the canvas. */
  readonly radius: number;
  readonly erases: boolean;
}

/** The box and mask after a brush stroke. What is painted beyond the box widens it; the mask of an object without one is empty for paint and full for the eraser. */
export function painted(
  box: Box | undefined,
  mask: Mask | undefined,
  { points, radius, erases }: Brush,
): { box: Box; mask: Mask } {
  const reached = union(points.map(([x, y]) => [x - radius, y - radius, x + radius, y + radius]));
  const onCanvas = boxBetween(
    Math.max(reached[0], 0),
    Math.max(reached[1], 0),
    Math.min(reached[2], 1),
    Math.min(reached[3], 1),
  );
  const wider = !box ? onCanvas : erases ? box : mask ? union([box, onCanvas]) : onCanvas;
  const cells = mask && box ? resampled(decodeMask(mask), box, wider) : filled(CELLS, CELLS, erases ? 1 : 0);
  const [x0, y0, x1, y1] = wider;
  const value = erases ? 0 : 1;
  for (let row = 0; row < cells.height; row += 1) {
    const y = y0 + ((row + 0.5) / cells.height) * (y1 - y0);
    for (let column = 0; column < cells.width; column += 1) {
      const x = x0 + ((column + 0.5) / cells.width) * (x1 - x0);
      if (isNear(points, x, y, radius)) cells.values[row * cells.width + column] = value;
    }
  }
  return { box: wider, mask: encodeMask(cells) };
}

function filled(height: number, width: number, value: number): Cells {
  return { height, width, values: new Uint8Array(height * width).fill(value) };
}

/** The mask of one box as that of another one around it. */
function resampled(cells: Cells, from: Box, to: Box): Cells {
  if (from.every((edge, at) => edge === to[at])) return cells;
  const found = filled(Math.max(cells.height, CELLS), Math.max(cells.width, CELLS), 0);
  for (let row = 0; row < found.height; row += 1) {
    const y = to[1] + ((row + 0.5) / found.height) * (to[3] - to[1]);
    const oldRow = Math.floor(((y - from[1]) / (from[3] - from[1])) * cells.height);
    for (let column = 0; column < found.width; column += 1) {
      const x = to[0] + ((column + 0.5) / found.width) * (to[2] - to[0]);
      const oldColumn = Math.floor(((x - from[0]) / (from[2] - from[0])) * cells.width);
      const inside = oldRow >= 0 && oldRow < cells.height && oldColumn >= 0 && oldColumn < cells.width;
      if (inside) found.values[row * found.width + column] = cells.values[oldRow * cells.width + oldColumn]!;
    }
  }
  return found;
}

function isNear(points: Brush["points"], x: number, y: number, radius: number): boolean {
  return points.some(([px, py], at) => distanceToSegment([x, y], points[Math.max(at - 1, 0)]!, [px, py]) <= radius);
}

/** The distance of a point from the line between two others. */
export function distanceToSegment(
  [x, y]: readonly [number, number],
  [ax, ay]: readonly [number, number],
  [bx, by]: readonly [number, number],
): number {
  const [dx, dy] = [bx - ax, by - ay];
  const length = dx * dx + dy * dy;
  const along = length ? Math.min(Math.max(((x - ax) * dx + (y - ay) * dy) / length, 0), 1) : 0;
  return Math.hypot(x - ax - along * dx, y - ay - along * dy);
}
