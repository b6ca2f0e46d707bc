/** Where the nodes of the graph stand, and the paths of its edges. Units are pixels of a drawing as wide as `FRAME`. */

import type { Link, Point, Thing } from "./document";
import { centre, clamp } from "./geometry";

export const FRAME: Point = [800, 560];
export const NODE_HEIGHT = 36;
const MARGIN = 30;
const ROUNDS = 160;
/** The length that edges would like to have. */
const LENGTH = 170;

/** Half the width of a node with a text of so many pixels. */
export const halfWidth = (textWidth: number): number => textWidth / 2 + 26;

/** Places for all nodes: those known stay, the others settle among them. The same graph is always placed alike. */
export function arrange(things: readonly Thing[], links: readonly Link[], known: Readonly<Record<number, Point>>, width: (id: number) => number): Record<number, Point> {
  const ids = things.map((thing) => thing.id);
  const loose = ids.filter((id) => !known[id]);
  if (!loose.length) return Object.fromEntries(ids.map((id) => [id, known[id]!]));
  const at = new Map<number, [number, number]>(things.map((thing, number) => [thing.id, [...(known[thing.id] ?? start(thing, number, things.length))]]));
  for (let round = 0; round < ROUNDS; round += 1) {
    const heat = 1 - round / ROUNDS;
    const push = new Map<number, [number, number]>(loose.map((id) => [id, [0, 0]]));
    for (const one of loose) {
      for (const other of ids) if (one !== other) repel(push.get(one)!, at.get(one)!, at.get(other)!, halfWidth(width(one)) + halfWidth(width(other)));
    }
    for (const { subject, object } of links) attract(push, at, subject, object);
    for (const id of loose) {
      const [x, y] = at.get(id)!;
      const [dx, dy] = push.get(id)!;
      const half = halfWidth(width(id));
      at.set(id, [
        clamp(x + clamp(dx, -30, 30) * heat, MARGIN + half, FRAME[0] - MARGIN - half),
        clamp(y + clamp(dy, -30, 30) * heat, MARGIN + NODE_HEIGHT / 2, FRAME[1] - MARGIN - NODE_HEIGHT / 2),
      ]);
    }
  }
  if (loose.length === ids.length) spread(at, width);
  return Object.fromEntries(ids.map((id) => [id, known[id] ?? at.get(id)!]));
}

/** Uses the whole drawing. */
function spread(at: Map<number, [number, number]>, width: (id: number) => number): void {
  for (const axis of [0, 1] as const) {
    const half = axis ? NODE_HEIGHT / 2 : Math.max(...[...at.keys()].map((id) => halfWidth(width(id))));
    const values = [...at.values()].map((place) => place[axis]);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const [from, to] = [MARGIN + half, FRAME[axis] - MARGIN - half];
    for (const place of at.values()) place[axis] = high - low > 1 ? from + ((place[axis] - low) / (high - low)) * (to - from) : FRAME[axis] / 2;
  }
}

/** An object begins where it stands in the picture, or else on an ellipse. */
function start(thing: Thing, number: number, count: number): Point {
  const angle = (number / count) * 2 * Math.PI - Math.PI / 2;
  const [x, y] = thing.box ? centre(thing.box) : [0.5 + 0.36 * Math.cos(angle), 0.5 + 0.36 * Math.sin(angle)];
  // No two begin at the same point, or nothing would drive them apart.
  return [x * FRAME[0] + Math.cos(number) * 4, y * FRAME[1] + Math.sin(number * 2) * 4];
}

function repel(push: [number, number], [x, y]: readonly [number, number], [ox, oy]: readonly [number, number], wide: number): void {
  // Nodes are wider than high, so distances along y count for more.
  const dx = (x - ox) / Math.max(wide / 70, 1.4);
  const dy = y - oy;
  const distance = Math.max(Math.hypot(dx, dy), 1);
  const force = 9000 / (distance * distance);
  push[0] += (dx / distance) * force * 1.6;
  push[1] += (dy / distance) * force;
}

function attract(push: Map<number, [number, number]>, at: Map<number, [number, number]>, one: number, other: number): void {
  const [x, y] = at.get(one)!;
  const [ox, oy] = at.get(other)!;
  const distance = Math.max(Math.hypot(ox - x, oy - y), 1);
  const pull = ((distance - LENGTH) / distance) * 0.06;
  for (const [id, sign] of [[one, 1], [other, -1]] as const) {
    const force = push.get(id);
    if (!force) continue;
    force[0] += (ox - x) * pull * sign;
    force[1] += (oy - y) * pull * sign;
  }
}

export interface Edge {
  readonly path: string;
  /** Where its name stands. */
  readonly label: Point;
}

/** The path from the rim of a node to that of another; the `number`-th of several between the same two bends away. */
export function edgePath(from: Point, to: Point, fromHalf: number, toHalf: number, number: number, count: number): Edge {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const length = Math.max(Math.hypot(dx, dy), 1);
  const bend = (number - (count - 1) / 2) * 46;
  const control: Point = [(from[0] + to[0]) / 2 - (dy / length) * bend * 2, (from[1] + to[1]) / 2 + (dx / length) * bend * 2];
  const start = rim(from, control, fromHalf, 2);
  const end = rim(to, control, toHalf, 7);
  const label: Point = [(start[0] + 2 * control[0] + end[0]) / 4, (start[1] + 2 * control[1] + end[1]) / 4];
  return { path: `M${fixed(start)}Q${fixed(control)} ${fixed(end)}`, label };
}

/** Where the line from the middle of a node to a point leaves it. */
function rim(node: Point, towards: Point, half: number, gap: number): Point {
  const [dx, dy] = [towards[0] - node[0], towards[1] - node[1]];
  const across = Math.min((half + gap) / Math.max(Math.abs(dx), 0.01), (NODE_HEIGHT / 2 + gap) / Math.max(Math.abs(dy), 0.01), 1);
  return [node[0] + dx * across, node[1] + dy * across];
}

const fixed = ([x, y]: Point): string => `${x.toFixed(1)} ${y.toFixed(1)}`;
