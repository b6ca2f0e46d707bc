/** Boxes in fractions of the canvas, origin top left. */

import type { Box } from "./scene";

export const HANDLES = ["nw", "n", "ne", "e", "se", "s", "sw", "w"] as const;
export type Handle = (typeof HANDLES)[number];
/** The smallest side of a box. */
export const SMALLEST = 0.01;
/** How much of a box stays on the canvas, however far it is dragged. */
const REMAINDER = 0.02;
/** How far boxes may reach beyond the canvas, in canvases. */
const FARTHEST = 1;

export interface Guide {
  readonly axis: 0 | 1;
  readonly at: number;
}

/** The box between two corners, whichever way the drag went. */
export function boxBetween(x0: number, y0: number, x1: number, y1: number): Box {
  return kept([Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)]);
}

export function moved([x0, y0, x1, y1]: Box, dx: number, dy: number): Box {
  const x = clamp(dx, REMAINDER - x1, 1 - REMAINDER - x0);
  const y = clamp(dy, REMAINDER - y1, 1 - REMAINDER - y0);
  return [x0 + x, y0 + y, x1 + x, y1 + y];
}

/** The box after a handle moved; a handle that is dragged past the opposite side turns the box over. */
export function resized([x0, y0, x1, y1]: Box, handle: Handle, dx: number, dy: number): Box {
  const west = handle.includes("w") ? dx : 0;
  const east = handle.includes("e") ? dx : 0;
  const north = handle.startsWith("n") ? dy : 0;
  const south = handle.startsWith("s") ? dy : 0;
  return boxBetween(x0 + west, y0 + north, x1 + east, y1 + south);
}

/** The box with sides that are no points, of which some is on the canvas. */
function kept([x0, y0, x1, y1]: Box): Box {
  const [left, right] = keptAxis(x0, x1);
  const [top, bottom] = keptAxis(y0, y1);
  return [left, top, right, bottom];
}

function keptAxis(low: number, high: number): [number, number] {
  const start = clamp(low, -FARTHEST, 1 - REMAINDER);
  return [start, clamp(high, Math.max(start + SMALLEST, REMAINDER), 1 + FARTHEST)];
}

export const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);
export const centre = ([x0, y0, x1, y1]: Box): [number, number] => [(x0 + x1) / 2, (y0 + y1) / 2];
export const contains = ([x0, y0, x1, y1]: Box, x: number, y: number): boolean =>
  x >= x0 && x <= x1 && y >= y0 && y <= y1;

/** The box around boxes. */
export function union(boxes: readonly Box[]): Box {
  return [0, 1, 2, 3].map((edge) =>
    Math[edge < 2 ? "min" : "max"](...boxes.map((box) => box[edge]!)),
  ) as unknown as Box;
}

/** The handle under a point, if one is within reach. Corners win over sides. */
export function handleAt([x0, y0, x1, y1]: Box, x: number, y: number, reach: number): Handle | undefined {
  const near = (handle: Handle): boolean => {
    const [hx, hy] = handlePoint([x0, y0, x1, y1], handle);
    return Math.abs(hx - x) <= reach && Math.abs(hy - y) <= reach;
  };
  return (["nw", "ne", "se", "sw", "n", "e", "s", "w"] as const).find(near);
}

export function handlePoint([x0, y0, x1, y1]: Box, handle: Handle): [number, number] {
  const x = handle.includes("w") ? x0 : handle.includes("e") ? x1 : (x0 + x1) / 2;
  const y = handle.startsWith("n") ? y0 : handle.startsWith("s") ? y1 : (y0 + y1) / 2;
  return [x, y];
}

/** Which of the things under a click is meant: the front one, or with each further click the next one behind. */
export function cycled<T>(under: readonly T[], selected: T | undefined): T | undefined {
  const at = selected === undefined ? -1 : under.indexOf(selected);
  return under[(at + 1) % under.length];
}

/** Moves a drag so that an edge or the centre of the box meets one of another box or of the canvas. */
export function snapped(
  box: Box,
  others: readonly Box[],
  reach: number,
  edges: readonly (0 | 1 | 2 | 3 | "x" | "y")[] = [0, 1, 2, 3, "x", "y"],
): { dx: number; dy: number; guides: Guide[] } {
  const guides: Guide[] = [];
  const shift = (axis: 0 | 1): number => {
    const lines = [...others, [0, 0, 1, 1] as Box].flatMap((other) => [
      other[axis],
      other[axis + 2]!,
      (other[axis] + other[axis + 2]!) / 2,
    ]);
    const own = edges.flatMap((edge) =>
      edge === (axis ? "y" : "x")
        ? [(box[axis] + box[axis + 2]!) / 2]
        : edge === axis || edge === axis + 2
          ? [box[edge as 0]]
          : [],
    );
    let best: { by: number; at: number } | undefined;
    for (const at of lines) {
      for (const edge of own) {
        const by = at - edge;
        if (Math.abs(by) <= reach && (!best || Math.abs(by) < Math.abs(best.by))) best = { by, at };
      }
    }
    if (best) guides.push({ axis, at: best.at });
    return best?.by ?? 0;
  };
  return { dx: shift(0), dy: shift(1), guides };
}

export type Alignment = "left" | "centre" | "right" | "top" | "middle" | "bottom";

/** The box moved so that it is aligned within the frame around all. */
export function aligned(box: Box, frame: Box, to: Alignment): Box {
  const [x, y] = centre(box);
  const [fx, fy] = centre(frame);
  switch (to) {
    case "left":
      return moved(box, frame[0] - box[0], 0);
    case "centre":
      return moved(box, fx - x, 0);
    case "right":
      return moved(box, frame[2] - box[2], 0);
    case "top":
      return moved(box, 0, frame[1] - box[1]);
    case "middle":
      return moved(box, 0, fy - y);
    case "bottom":
      return moved(box, 0, frame[3] - box[3]);
  }
}

/** Where labels stand: at the corner of their box, or below the labels that are there already. Sizes in one unit. */
export function placeLabels(
  boxes: readonly Box[],
  widths: readonly number[],
  height: number,
  frame: Box,
): [x: number, y: number][] {
  const taken: Box[] = [];
  return boxes.map((box, number) => {
    const width = widths[number]!;
    const x = clamp(box[0], frame[0], Math.max(frame[0], frame[2] - width));
    let y = clamp(box[1], frame[1], frame[3] - height);
    const meets = (other: Box): boolean =>
      x < other[2] && x + width > other[0] && y < other[3] && y + height > other[1];
    for (let other = taken.find(meets); other && other[3] + height <= frame[3]; other = taken.find(meets)) y = other[3];
    taken.push([x, y, x + width, y + height]);
    return [x, y];
  });
}
