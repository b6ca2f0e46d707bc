/** Free-hand strokes: between canvas and box, as outlines, and under the eraser. */

import { getStroke } from "perfect-freehand";

import type { Stroke } from "./document";
import { SMALLEST, boxBetween } from "./geometry";
import { distanceToSegment } from "./mask";
import type { Box } from "./scene";

/** The largest number of points of a stroke that is kept; a hand does not draw more detail. */
const MOST_POINTS = 400;

/** Canvas coordinates to those in the box. */
export function intoBox(stroke: Stroke, [x0, y0, x1, y1]: Box): Stroke {
  return stroke.map(([x, y, pressure]) => [(x - x0) / (x1 - x0), (y - y0) / (y1 - y0), pressure]);
}

/** Coordinates in the box to those of the canvas. */
export function ontoCanvas(stroke: Stroke, [x0, y0, x1, y1]: Box): Stroke {
  return stroke.map(([x, y, pressure]) => [x0 + x * (x1 - x0), y0 + y * (y1 - y0), pressure]);
}

/** The box around strokes. */
export function boundsOf(strokes: readonly Stroke[]): Box {
  const points = strokes.flat();
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const [x0, y0, x1, y1] = [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
  return boxBetween(x0, y0, Math.max(x1, x0 + SMALLEST), Math.max(y1, y0 + SMALLEST));
}

/** What the eraser leaves of strokes, which it cuts where it touches them. */
export function erased(
  strokes: readonly Stroke[],
  path: readonly (readonly [number, number])[],
  radius: number,
): readonly Stroke[] {
  const touches = ([x, y]: readonly [number, number, number]): boolean =>
    path.some((point, at) => distanceToSegment([x, y], path[Math.max(at - 1, 0)]!, point) <= radius);
  const left: Stroke[] = [];
  let changed = false;
  for (const stroke of strokes) {
    let part: Stroke[number][] = [];
    const parts: Stroke[] = [];
    // Points of a quick stroke lie farther apart than the eraser is wide.
    for (const point of dense(stroke, radius / 2)) {
      if (touches(point)) {
        if (part.length > 1) parts.push(part);
        part = [];
      } else part.push(point);
    }
    if (part.length > 1) parts.push(part);
    const whole = !dense(stroke, radius / 2).some(touches);
    left.push(...(whole ? [stroke] : parts));
    changed ||= !whole;
  }
  return changed ? left : strokes;
}

function dense(stroke: Stroke, step: number): Stroke {
  return stroke.flatMap((point, at): Stroke => {
    const before = stroke[at - 1];
    if (!before) return [point];
    const parts = Math.min(Math.max(Math.ceil(Math.hypot(point[0] - before[0], point[1] - before[1]) / step), 1), 1000);
    return Array.from({ length: parts }, (_, part) => {
      const along = (part + 1) / parts;
      return [
        before[0] + (point[0] - before[0]) * along,
        before[1] + (point[1] - before[1]) * along,
        point[2],
      ] as const;
    });
  });
}

/** A stroke without points that lie closer together than anyone sees. */
export function thinned(stroke: Stroke, step = 0.003): Stroke {
  const kept = stroke.filter(
    (point, at) =>
      at === 0 ||
      at === stroke.length - 1 ||
      Math.hypot(point[0] - stroke[at - 1]![0], point[1] - stroke[at - 1]![1]) >= step,
  );
  if (kept.length <= MOST_POINTS) return kept;
  return Array.from(
    { length: MOST_POINTS },
    (_, at) => kept[Math.round((at * (kept.length - 1)) / (MOST_POINTS - 1))]!,
  );
}

/** The outline of a stroke as the data of an SVG path, `scale` units a canvas. */
export function outline(stroke: Stroke, scale: number, size: number): string {
  const simulate = stroke.every(([, , pressure]) => pressure === 0.5);
  const points = getStroke(
    stroke.map(([x, y, pressure]) => [x * scale, y * scale, pressure]),
    { size, thinning: 0.55, smoothing: 0.6, streamline: 0.35, simulatePressure: simulate },
  );
  if (!points.length) return "";
  const middle = (one: number[], other: number[]): string =>
    `${((one[0]! + other[0]!) / 2).toFixed(1)} ${((one[1]! + other[1]!) / 2).toFixed(1)}`;
  const curves = points.map(
    (point, at) =>
      `${point[0]!.toFixed(1)} ${point[1]!.toFixed(1)} ${middle(point, points[(at + 1) % points.length]!)}`,
  );
  return `M${points[0]![0]!.toFixed(1)} ${points[0]![1]!.toFixed(1)}Q${curves.join(" ")}Z`;
}
