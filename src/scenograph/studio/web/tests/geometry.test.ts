import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { ranked } from "../src/model/completion";
import type { Link, Point, Thing } from "../src/model/document";
import {
  HANDLES,
  aligned,
  boxBetween,
  cycled,
  handleAt,
  handlePoint,
  moved,
  placeLabels,
  resized,
  snapped,
} from "../src/model/geometry";
import { arrange, edges } from "../src/model/graph";
import { decodeMask, painted } from "../src/model/mask";
import { Newest } from "../src/model/newest";
import type { Box } from "../src/model/scene";
import { boundsOf, erased, intoBox, ontoCanvas, thinned } from "../src/model/strokes";

const BOX: Box = [0.2, 0.3, 0.6, 0.7];
const near = (box: Box): Box => box.map((edge) => Math.round(edge * 1e6) / 1e6) as unknown as Box;

describe("boxes", () => {
  it("follow each of their eight handles", () => {
    const found = Object.fromEntries(HANDLES.map((handle) => [handle, near(resized(BOX, handle, 0.1, 0.05))]));
    expect(found).toEqual({
      nw: [0.3, 0.35, 0.6, 0.7],
      n: [0.2, 0.35, 0.6, 0.7],
      ne: [0.2, 0.35, 0.7, 0.7],
      e: [0.2, 0.3, 0.7, 0.7],
      se: [0.2, 0.3, 0.7, 0.75],
      s: [0.2, 0.3, 0.6, 0.75],
      sw: [0.3, 0.3, 0.6, 0.75],
      w: [0.3, 0.3, 0.6, 0.7],
    });
  });

  it("turn over when a handle is dragged past the other side", () => {
    expect(near(resized(BOX, "e", -0.5, 0))).toEqual([0.1, 0.3, 0.2, 0.7]);
    expect(near(resized(BOX, "nw", 0.6, 0.6))).toEqual([0.6, 0.7, 0.8, 0.9]);
  });

  it("can be drawn in any direction", () => {
    expect(boxBetween(0.6, 0.7, 0.2, 0.3)).toEqual(BOX);
  });

  it("stay valid and within reach, however far they are dragged", () => {
    const far = fc.double({ min: -20, max: 20, noNaN: true });
    fc.assert(
      fc.property(fc.constantFrom(...HANDLES), far, far, (handle, dx, dy) => {
        for (const [x0, y0, x1, y1] of [moved(BOX, dx, dy), resized(BOX, handle, dx, dy)]) {
          expect(x1 - x0).toBeGreaterThan(0.0099);
          expect(y1 - y0).toBeGreaterThan(0.0099);
          // Some of it can still be taken hold of.
          expect(Math.min(x1, 1) - Math.max(x0, 0)).toBeGreaterThan(0.0099);
          expect(Math.min(y1, 1) - Math.max(y0, 0)).toBeGreaterThan(0.0099);
        }
      }),
    );
  });

  it("have handles within reach", () => {
    for (const handle of HANDLES) expect(handleAt(BOX, ...handlePoint(BOX, handle), 0.01)).toBe(handle);
    expect(handleAt(BOX, 0.4, 0.5, 0.01)).toBeUndefined();
  });

  it("are picked from front to back by clicks", () => {
    expect(
      [undefined, "front", "middle", "back"].map((selected) => cycled(["front", "middle", "back"], selected)),
    ).toEqual(["front", "middle", "back", "front"]);
    expect(cycled([], undefined)).toBeUndefined();
  });

  it("snap to edges and centres of others", () => {
    const { dx, dy, guides } = snapped([0.205, 0.1, 0.405, 0.2], [[0.2, 0.5, 0.9, 0.9]], 0.01);
    expect([dx, dy].map((one) => Math.round(one * 1e6) / 1e6)).toEqual([-0.005, 0]);
    expect(guides).toEqual([{ axis: 0, at: 0.2 }]);
  });

  it("are aligned in the frame around them", () => {
    expect(near(aligned([0.1, 0.1, 0.3, 0.2], [0.1, 0.1, 0.9, 0.9], "right"))).toEqual([0.7, 0.1, 0.9, 0.2]);
    expect(near(aligned([0.1, 0.1, 0.3, 0.2], [0.1, 0.1, 0.9, 0.9], "middle"))).toEqual([0.1, 0.45, 0.3, 0.55]);
  });

  it("have labels that do not cover each other", () => {
    const places = placeLabels([BOX, BOX, BOX], [0.2, 0.2, 0.2], 0.05, [0, 0, 1, 1]);
    expect(places.map(([, y]) => Math.round(y * 100) / 100)).toEqual([0.3, 0.35, 0.4]);
  });
});

describe("the brush", () => {
  it("paints and erases", () => {
    const { box, mask } = painted(BOX, undefined, { points: [[0.4, 0.5]], radius: 0.1, erases: false });
    expect(near(box)).toEqual([0.3, 0.4, 0.5, 0.6]);
    const share = decodeMask(mask).values.reduce((sum, one) => sum + one, 0) / (64 * 64);
    expect(share).toBeCloseTo(Math.PI / 4, 1);
    const hole = painted(BOX, undefined, { points: [[0.4, 0.5]], radius: 0.1, erases: true });
    expect(hole.box).toEqual(BOX);
    expect(decodeMask(hole.mask).values.reduce((sum, one) => sum + one, 0) / (64 * 64)).toBeCloseTo(
      1 - (Math.PI * 0.01) / 0.16,
      1,
    );
  });

  it("widens the box where it paints beyond, and what was painted stays where it was", () => {
    const first = painted(BOX, undefined, { points: [[0.4, 0.5]], radius: 0.1, erases: false });
    const both = painted(first.box, first.mask, { points: [[0.8, 0.5]], radius: 0.1, erases: false });
    expect(near(both.box)).toEqual([0.3, 0.4, 0.9, 0.6]);
    const cells = decodeMask(both.mask);
    const at = (x: number, y: number) =>
      cells.values[
        Math.floor(((y - 0.4) / 0.2) * cells.height) * cells.width + Math.floor(((x - 0.3) / 0.6) * cells.width)
      ];
    expect([at(0.4, 0.5), at(0.8, 0.5), at(0.6, 0.5)]).toEqual([1, 1, 0]);
  });
});

describe("strokes", () => {
  const line = Array.from({ length: 11 }, (_, at) => [at / 10, 0.5, 0.5] as const);

  it("are relative to their box", () => {
    expect(
      boundsOf([
        [
          [0.2, 0.3, 1],
          [0.6, 0.7, 1],
        ],
      ]),
    ).toEqual(BOX);
    const back = ontoCanvas(intoBox(line, BOX), BOX);
    back.forEach(([x, y], at) => {
      expect(x).toBeCloseTo(line[at]![0]);
      expect(y).toBeCloseTo(line[at]![1]);
    });
  });

  it("are cut by the eraser where it touches them", () => {
    const left = erased([line], [[0.5, 0.5]], 0.1);
    expect(left.length).toBe(2);
    expect(left.flat().every(([x]) => Math.abs(x - 0.5) > 0.099)).toBe(true);
    expect(erased([line], [[0.5, 0.9]], 0.1)[0]).toBe(line);
    // Also between the points of a quick stroke.
    expect(
      erased(
        [
          [
            [0, 0.5, 1],
            [1, 0.5, 1],
          ],
        ],
        [[0.5, 0.5]],
        0.1,
      ).length,
    ).toBe(2);
    expect(
      erased(
        [line],
        [
          [0, 0.5],
          [1, 0.5],
        ],
        0.1,
      ),
    ).toEqual([]);
  });

  it("keep their ends when they are thinned", () => {
    const dense = Array.from({ length: 5000 }, (_, at) => [at / 4999, 0.5, 0.5] as const);
    const kept = thinned(dense, 0);
    expect(kept.length).toBe(400);
    expect([kept[0], kept.at(-1)]).toEqual([dense[0], dense.at(-1)]);
  });
});

describe("the graph", () => {
  const things = Array.from({ length: 8 }, (_, at): Thing => ({
    id: at + 1,
    category: "sheep",
    attributes: [],
    pinned: false,
  }));
  const links: Link[] = [1, 2, 3, 4, 5].map((subject) => ({ subject, predicate: "on", object: subject + 1 }));

  const frame: Point = [700, 560];
  const place = (known = {}, some = things) => arrange(some, links, known, { frame, half: () => 60, wide: () => 40 });

  it("has nodes that lie apart, on the drawing, always alike", () => {
    const places = place();
    expect(place()).toEqual(places);
    const pixels = Object.values(places).map(([x, y]): Point => [x * frame[0], y * frame[1]]);
    for (const [x, y] of pixels) expect(x >= 60 && x <= frame[0] - 60 && y >= 18 && y <= frame[1] - 18).toBe(true);
    pixels.forEach((one, at) =>
      pixels
        .slice(at + 1)
        .forEach((other) => expect(Math.abs(one[0] - other[0]) > 120 || Math.abs(one[1] - other[1]) > 36).toBe(true)),
    );
  });

  it("leaves nodes where they are when another one comes", () => {
    const before = place({}, things.slice(0, 6));
    const after = place(before);
    for (const id of Object.keys(before)) expect(after[Number(id)]).toEqual(before[Number(id)]);
  });

  it("bends arrows there and back to different sides, and keeps their names apart", () => {
    const at = new Map<number, Point>([
      [1, [100, 100]],
      [2, [300, 100]],
    ]);
    const [there, back] = edges(
      [
        { subject: 1, predicate: "on", object: 2 },
        { subject: 2, predicate: "under", object: 1 },
      ],
      (id) => at.get(id)!,
      { half: () => 40, wide: () => 50 },
    );
    expect(Math.abs(there!.label[1] - back!.label[1])).toBeGreaterThan(20);
    const crossing = new Map<number, Point>([
      [1, [100, 100]],
      [2, [300, 300]],
      [3, [300, 100]],
      [4, [100, 300]],
    ]);
    const [one, other] = edges(
      [
        { subject: 1, predicate: "on", object: 2 },
        { subject: 3, predicate: "on", object: 4 },
      ],
      (id) => crossing.get(id)!,
      { half: () => 40, wide: () => 50 },
    );
    expect(Math.hypot(one!.label[0] - other!.label[0], one!.label[1] - other!.label[1])).toBeGreaterThan(10);
  });
});

describe("completion", () => {
  it("puts the beginnings of words first", () => {
    expect(ranked("tr", ["extra", "tree", "potted tree", "truck"])).toEqual(["tree", "truck", "potted tree", "extra"]);
    expect(ranked("", ["b", "a"], ["a"])).toEqual(["a", "b"]);
    expect(ranked("zzz", ["a"])).toEqual([]);
  });
});

describe("newest wins", () => {
  it("runs one at a time and skips what is outdated", async () => {
    const ran: number[] = [];
    const open: (() => void)[] = [];
    const work = new Newest<number>((input) => {
      ran.push(input);
      return new Promise((resolve) => open.push(resolve));
    });
    for (const input of [1, 2, 3]) work.push(input);
    expect(ran).toEqual([1]);
    open.shift()!();
    await new Promise((resolve) => setTimeout(resolve));
    expect(ran).toEqual([1, 3]);
  });

  it("stops what runs for what is urgent", async () => {
    const stopped: number[] = [];
    const work = new Newest<number>(
      (input, signal) =>
        new Promise((resolve) => signal.addEventListener("abort", () => (stopped.push(input), resolve()))),
    );
    work.push(1);
    work.push(2, true);
    await new Promise((resolve) => setTimeout(resolve));
    expect(stopped).toEqual([1]);
  });
});
