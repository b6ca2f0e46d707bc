/** Where the nodes of the graph stand, and the paths of its edges. Places are fractions of the drawing, paths are in its pixels. */

import type { Link, Point, Thing } from "./document";
import { centre, clamp } from "./geometry";
import type { Box } from "./scene";

export const NODE_HEIGHT = 36;
const LABEL_HEIGHT = 20;
const MARGIN = 24;
const ROUNDS = 200;
/** Ways to settle, of which the clearest drawing is kept: how hard nodes push each other and the names of arrows, and where they begin. */
const WAYS = [
  { nodes: 0.35, names: 0.5, boxes: true },
  { nodes: 0.9, names: 0.9, boxes: true },
  { nodes: 2, names: 1, boxes: true },
  { nodes: 0.35, names: 0.5, boxes: false },
  { nodes: 0.9, names: 0.9, boxes: false },
  { nodes: 2, names: 1, boxes: false },
] as const;
type Way = (typeof WAYS)[number];
/** Of larger graphs no drawing is clear, and settling takes long. */
const FEW = 24;

/** Half the width of a node with a text of so many pixels. */
export const halfWidth = (textWidth: number): number => textWidth / 2 + 26;

/** Sizes in pixels. */
export interface Sizes {
  /** Of the drawing. */
  readonly frame: Point;
  /** Half the width of a node. */
  readonly half: (id: number) => number;
  /** The width of a relation's name. */
  readonly wide: (link: Link) => number;
}

/** Places for all nodes: those known stay, the others settle among them. The same graph is always placed alike. */
export function arrange(
  things: readonly Thing[],
  links: readonly Link[],
  known: Readonly<Record<number, Point>>,
  sizes: Sizes,
): Record<number, Point> {
  const loose = things.filter((thing) => !known[thing.id]);
  if (!loose.length) return Object.fromEntries(things.map(({ id }) => [id, known[id]!]));
  const ways = loose.length < things.length || things.length > FEW ? WAYS.slice(0, 1) : WAYS;
  const drawings = ways.map((way) => settle(things, links, known, sizes, way));
  const unclear = drawings.map((at) => clutter(links, at, sizes));
  const at = drawings[unclear.indexOf(Math.min(...unclear))]!;
  return Object.fromEntries(
    things.map(({ id }) => [id, known[id] ?? [at.get(id)![0] / sizes.frame[0], at.get(id)![1] / sizes.frame[1]]]),
  );
}

/** How much of a drawing lies over each other, in square pixels. */
function clutter(links: readonly Link[], at: ReadonlyMap<number, Point>, sizes: Sizes): number {
  const names = edges(links, (id) => at.get(id)!, sizes).map(({ label }, number) =>
    around(label, sizes.wide(links[number]!) / 2, LABEL_HEIGHT / 2),
  );
  const boxes = [...[...at].map(([id, place]) => around(place, sizes.half(id), NODE_HEIGHT / 2)), ...names];
  const covered = boxes.reduce(
    (sum, one, number) => sum + boxes.slice(number + 1).reduce((more, other) => more + overlap(one, other), 0),
    0,
  );
  const crossings = links.reduce(
    (sum, one, number) => sum + links.slice(number + 1).filter((other) => cross(one, other, at)).length,
    0,
  );
  return covered + crossings * CROSSING;
}

/** What a crossing of two arrows is worth, in square pixels. */
const CROSSING = 400;

function cross(one: Link, other: Link, at: ReadonlyMap<number, Point>): boolean {
  const ends = [one.subject, one.object, other.subject, other.object];
  if (new Set(ends).size < 4) return false;
  const [a, b, c, d] = ends.map((id) => at.get(id)!) as [Point, Point, Point, Point];
  const side = (from: Point, to: Point, point: Point): number =>
    Math.sign((to[0] - from[0]) * (point[1] - from[1]) - (to[1] - from[1]) * (point[0] - from[0]));
  return side(a, b, c) !== side(a, b, d) && side(c, d, a) !== side(c, d, b);
}

function settle(
  things: readonly Thing[],
  links: readonly Link[],
  known: Readonly<Record<number, Point>>,
  { frame, half }: Sizes,
  way: Way,
): Map<number, [number, number]> {
  const ids = things.map((thing) => thing.id);
  const loose = ids.filter((id) => !known[id]);
  const at = new Map<number, [number, number]>(
    things.map((thing, number) => {
      const [x, y] = known[thing.id] ?? start(way.boxes ? thing.box : undefined, number, things.length);
      return [thing.id, [x * frame[0], y * frame[1]]];
    }),
  );
  const length = clamp(Math.min(...frame) / 3, 110, 200);
  for (let round = 0; round < ROUNDS; round += 1) {
    const heat = 1 - round / ROUNDS;
    const push = new Map<number, [number, number]>(loose.map((id) => [id, [0, 0]]));
    for (const one of loose) {
      for (const other of ids)
        if (one !== other)
          repel(push.get(one)!, at.get(one)!, at.get(other)!, half(one) + half(other), length * length * way.nodes);
      for (const { subject, object } of links) {
        if (one !== subject && one !== object)
          repel(
            push.get(one)!,
            at.get(one)!,
            middle(at.get(subject)!, at.get(object)!),
            half(one) + 30,
            length * length * way.names * 0.25,
          );
      }
    }
    for (const { subject, object } of links) attract(push, at, subject, object, length);
    for (const id of loose) {
      const place = at.get(id)!;
      for (const axis of [0, 1] as const) {
        const edge = MARGIN + (axis ? NODE_HEIGHT / 2 : half(id));
        place[axis] = clamp(
          place[axis] + clamp(push.get(id)![axis], -30, 30) * heat,
          Math.min(edge, frame[axis] / 2),
          Math.max(frame[axis] - edge, frame[axis] / 2),
        );
      }
    }
  }
  if (loose.length === ids.length) spread(at, half, frame);
  return at;
}

/** Uses the whole drawing. */
function spread(at: ReadonlyMap<number, [number, number]>, half: (id: number) => number, frame: Point): void {
  for (const axis of [0, 1] as const) {
    const rim = (id: number): number => MARGIN + (axis ? NODE_HEIGHT / 2 : half(id));
    const low = Math.min(...[...at].map(([id, place]) => place[axis] - rim(id)));
    const high = Math.max(...[...at].map(([id, place]) => place[axis] + rim(id)));
    const scale = clamp(frame[axis] / (high - low), 0.2, 1.6);
    for (const [id, place] of at) {
      const spreadOut = frame[axis] / 2 + (place[axis] - (low + high) / 2) * scale;
      place[axis] = clamp(
        spreadOut,
        Math.min(rim(id), frame[axis] / 2),
        Math.max(frame[axis] - rim(id), frame[axis] / 2),
      );
    }
  }
}

/** An object begins where it stands in the picture, or else on an ellipse; in fractions. */
function start(box: Box | undefined, number: number, count: number): Point {
  const angle = (number / count) * 2 * Math.PI - Math.PI / 2;
  const [x, y] = box ? centre(box) : [0.5 + 0.36 * Math.cos(angle), 0.5 + 0.36 * Math.sin(angle)];
  // No two begin at the same point, or nothing would drive them apart.
  return [x + Math.cos(number) * 0.01, y + Math.sin(number * 2) * 0.01];
}

function repel(
  push: [number, number],
  [x, y]: readonly [number, number],
  [ox, oy]: readonly [number, number],
  wide: number,
  strength: number,
): void {
  // Nodes are wider than high, so distances along y count for more.
  const dx = (x - ox) / Math.max(wide / 80, 1.2);
  const dy = y - oy;
  const distance = Math.max(Math.hypot(dx, dy), 1);
  const force = strength / (distance * distance);
  push[0] += (dx / distance) * force * 1.6;
  push[1] += (dy / distance) * force;
}

function attract(
  push: ReadonlyMap<number, [number, number]>,
  at: ReadonlyMap<number, [number, number]>,
  one: number,
  other: number,
  length: number,
): void {
  const [x, y] = at.get(one)!;
  const [ox, oy] = at.get(other)!;
  const distance = Math.max(Math.hypot(ox - x, oy - y), 1);
  const pull = ((distance - length) / distance) * 0.06;
  for (const [id, sign] of [
    [one, 1],
    [other, -1],
  ] as const) {
    const force = push.get(id);
    if (!force) continue;
    force[0] += (ox - x) * pull * sign;
    force[1] += (oy - y) * pull * sign;
  }
}

const middle = ([x, y]: Point, [ox, oy]: Point): Point => [(x + ox) / 2, (y + oy) / 2];

export interface Edge {
  readonly path: string;
  /** Where the middle of its name stands. */
  readonly label: Point;
}

/**
 * The arrows of all relations, from rim to rim, with names that cover each other and nodes as little as may be.
 *
 * @param at Places of nodes in pixels.
 */
export function edges(links: readonly Link[], at: (id: number) => Point, { half, wide }: Omit<Sizes, "frame">): Edge[] {
  const ids = new Set(links.flatMap(({ subject, object }) => [subject, object]));
  const taken: Box[] = [...ids].map((id) => around(at(id), half(id), NODE_HEIGHT / 2));
  const distance = ({ subject, object }: Link): number =>
    Math.hypot(at(subject)[0] - at(object)[0], at(subject)[1] - at(object)[1]);
  const found = new Map<Link, Edge>();
  // Short arrows leave their names the least choice, so these come first.
  for (const link of [...links].sort((one, other) => distance(one) - distance(other))) {
    const { subject, object } = link;
    const between = links.filter(
      (one) => (one.subject === subject && one.object === object) || (one.subject === object && one.object === subject),
    );
    // Arrows there and back bend to different sides.
    const rank = subject < object ? between.indexOf(link) : between.length - 1 - between.indexOf(link);
    const bend = (rank - (between.length - 1) / 2) * 92;
    const [from, to] = [at(subject), at(object)];
    const length = Math.max(distance(link), 1);
    const control: Point = [
      (from[0] + to[0]) / 2 - ((to[1] - from[1]) / length) * bend,
      (from[1] + to[1]) / 2 + ((to[0] - from[0]) / length) * bend,
    ];
    const [start, end] = [rim(from, control, half(subject), 2), rim(to, control, half(object), 7)];
    const places = [0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74].map((along) => onCurve(start, control, end, along));
    const covered = places.map((place) =>
      taken.reduce((sum, box) => sum + overlap(box, around(place, wide(link) / 2, LABEL_HEIGHT / 2)), 0),
    );
    const label = places[covered.indexOf(Math.min(...covered))]!;
    taken.push(around(label, wide(link) / 2, LABEL_HEIGHT / 2));
    found.set(link, { path: `M${fixed(start)}Q${fixed(control)} ${fixed(end)}`, label });
  }
  return links.map((link) => found.get(link)!);
}

const around = ([x, y]: Point, halfWide: number, halfHigh: number): Box => [
  x - halfWide,
  y - halfHigh,
  x + halfWide,
  y + halfHigh,
];
const overlap = (one: Box, other: Box): number =>
  Math.max(0, Math.min(one[2], other[2]) - Math.max(one[0], other[0])) *
  Math.max(0, Math.min(one[3], other[3]) - Math.max(one[1], other[1]));

function onCurve(start: Point, control: Point, end: Point, along: number): Point {
  const [a, b, c] = [(1 - along) ** 2, 2 * along * (1 - along), along ** 2];
  return [a * start[0] + b * control[0] + c * end[0], a * start[1] + b * control[1] + c * end[1]];
}

/** Where the line from the middle of a node to a point leaves it. */
function rim(node: Point, towards: Point, half: number, gap: number): Point {
  const [dx, dy] = [towards[0] - node[0], towards[1] - node[1]];
  const across = Math.min(
    (half + gap) / Math.max(Math.abs(dx), 0.01),
    (NODE_HEIGHT / 2 + gap) / Math.max(Math.abs(dy), 0.01),
    1,
  );
  return [node[0] + dx * across, node[1] + dy * across];
}

const fixed = ([x, y]: Point): string => `${x.toFixed(1)} ${y.toFixed(1)}`;
