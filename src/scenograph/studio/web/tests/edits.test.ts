import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { EMPTY, replaceScene, toScene, type Document } from "../src/model/document";
import * as edits from "../src/model/edits";
import { abandon, amend, begin, commit, redo, settle, undo, type History } from "../src/model/history";
import { boxBetween } from "../src/model/geometry";
import { readScene, type Box, type Scene } from "../src/model/scene";

const START: Scene = {
  objects: [
    { category: "grass", box: [0, 0.5, 1, 1] },
    { category: "sheep", box: [0.1, 0.4, 0.4, 0.8] },
    { category: "tree" },
  ],
  relationships: [
    [1, "on", 0],
    [2, "behind", 1],
  ],
};
const start = (): Document => replaceScene(EMPTY, START);

const unit = fc.double({ min: -0.5, max: 1.5, noNaN: true });
const identity = fc.integer({ min: 1, max: 8 });
const point = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }));
const stroke = fc.array(fc.tuple(unit, unit, fc.double({ min: 0, max: 1, noNaN: true })), {
  minLength: 1,
  maxLength: 6,
});
/** As the page makes boxes of drags that go anywhere. */
const box: fc.Arbitrary<Box> = fc.tuple(unit, unit, unit, unit).map((edges) => boxBetween(...edges));
const predicate = fc.constantFrom("left of", "on", "behind");
const link = fc.record({ subject: identity, predicate, object: identity });

/** Every edit that the page can make, with any values. */
const anyEdit: fc.Arbitrary<edits.Edit> = fc.oneof(
  fc.record({ category: fc.constantFrom("cow", "sun"), box }).map(edits.add),
  fc.array(identity, { maxLength: 3 }).map(edits.remove),
  fc.array(identity, { maxLength: 3 }).map(edits.duplicate),
  fc.tuple(identity, fc.integer({ min: -3, max: 9 })).map(([id, to]) => edits.reorder(id, to)),
  fc.tuple(identity, fc.constantFrom(1, -1)).map(([id, by]) => edits.raise(id, by)),
  link.map(edits.relate),
  fc.array(link, { maxLength: 2 }).map(edits.unrelate),
  fc.tuple(link, predicate).map(([one, name]) => edits.rename(one, name)),
  fc.tuple(identity, box).map(([id, one]) => edits.putBox(id, one)),
  fc.tuple(fc.array(identity, { maxLength: 3 }), unit, unit).map(([ids, dx, dy]) => edits.moveBoxes(ids, dx, dy)),
  fc
    .tuple(
      fc.array(identity, { maxLength: 4 }),
      fc.constantFrom("left", "centre", "right", "top", "middle", "bottom") as fc.Arbitrary<"left">,
    )
    .map(([ids, to]) => edits.align(ids, to)),
  fc
    .tuple(identity, fc.array(point, { minLength: 1, maxLength: 3 }), fc.boolean())
    .map(([id, points, erases]) => edits.paint(id, { points, radius: 0.05, erases })),
  fc.tuple(fc.option(identity, { nil: undefined }), stroke).map(([id, one]) => edits.draw(id, one)),
  fc
    .tuple(fc.option(identity, { nil: undefined }), fc.array(point, { minLength: 1, maxLength: 3 }))
    .map(([id, path]) => edits.erase(id, path, 0.1)),
  fc.constantFrom("cow", "sun").map(edits.nameDraft),
  fc.constant(edits.dropDraft),
  fc.constant(edits.unplace),
  fc.tuple(identity, fc.nat(99)).map(([id, seed]) => edits.setSeed(id, seed)),
  fc.tuple(identity, point).map(([id, place]) => edits.putNode(id, place)),
  fc.nat(99).map((seed) => edits.configure({ seed })),
);

const steps = fc.array(
  fc.record({ edit: anyEdit, gesture: fc.option(fc.constantFrom("drag a", "drag b"), { nil: undefined }) }),
  { maxLength: 30 },
);

function play(given: { edit: edits.Edit; gesture: string | undefined }[]): History {
  return given.reduce((history, { edit, gesture }) => commit(history, "edit", edit, gesture), begin(start()));
}

describe("the stack", () => {
  it("gives the scene back when any sequence of edits is undone, and the result when it is done again", () => {
    fc.assert(
      fc.property(steps, (given) => {
        const first = start();
        let history = play(given);
        const last = JSON.stringify(history.present);
        const length = history.past.length;
        while (history.past.length) history = undo(history);
        expect(history.present).toEqual(first);
        while (history.future.length) history = redo(history);
        expect(history.past.length).toBe(length);
        expect(JSON.stringify(history.present)).toBe(last);
      }),
      { numRuns: 150 },
    );
  });

  it("holds documents that never change", () => {
    fc.assert(
      fc.property(steps, (given) => {
        let history = begin(start());
        const written = [JSON.stringify(history.present)];
        for (const { edit } of given) {
          const before = history;
          history = commit(history, "edit", edit);
          if (history !== before) written.push(JSON.stringify(history.present));
        }
        written.pop();
        while (history.past.length) {
          history = undo(history);
          expect(JSON.stringify(history.present)).toBe(written.pop());
        }
      }),
      { numRuns: 60 },
    );
  });

  it("always has a valid scene", () => {
    fc.assert(
      fc.property(steps, (given) => {
        const scene = toScene(play(given).present);
        expect(readScene(JSON.parse(JSON.stringify(scene)))).toEqual(scene);
        const said = scene.relationships.map(String);
        expect(new Set(said).size).toBe(said.length);
      }),
      { numRuns: 150 },
    );
  });

  it("takes a drag as one step", () => {
    let history = begin(start());
    for (let x = 0.01; x < 0.2; x += 0.01)
      history = commit(history, "Move", edits.putBox(2, [x, 0.4, x + 0.3, 0.8]), "drag 1");
    history = settle(history);
    history = commit(history, "Move", edits.putBox(2, [0.5, 0.4, 0.8, 0.8]), "drag 1");
    expect(history.past.length).toBe(2);
    expect(undo(undo(history)).present).toEqual(start());
    expect(abandon(commit(history, "Move", edits.remove([1]), "drag 2"), "drag 2").present).toBe(history.present);
  });

  it("adds what the service found to the step that asked for it", () => {
    let history = commit(begin(start()), "Add", edits.add({ category: "cow" }));
    history = amend(history, edits.adoptBoxes(new Map([[4, { box: [0, 0, 0.2, 0.2] as Box }]])));
    expect(history.past.length).toBe(1);
    expect(history.present.things[3]!.box).toEqual([0, 0, 0.2, 0.2]);
    expect(undo(history).present).toEqual(start());
  });

  it("has no step for an edit that changes nothing", () => {
    const history = begin(start());
    expect(commit(history, "nothing", edits.remove([99]))).toBe(history);
    expect(commit(history, "nothing", edits.relate({ subject: 2, predicate: "on", object: 1 }))).toBe(history);
    expect(commit(history, "nothing", edits.raise(3, 1))).toBe(history);
  });
});

describe("edits", () => {
  it("remove an object with its relations", () => {
    expect(toScene(edits.remove([2])(start()))).toEqual({
      objects: [START.objects[0], START.objects[2]],
      relationships: [],
    });
  });

  it("keep relations when the order changes", () => {
    const scene = toScene(edits.reorder(1, 2)(start()));
    expect(scene.objects.map(({ category }) => category)).toEqual(["sheep", "tree", "grass"]);
    expect(scene.relationships).toEqual([
      [0, "on", 2],
      [1, "behind", 0],
    ]);
  });

  it("place again only what is not pinned", () => {
    const placed = edits.adoptBoxes(new Map([[3, { box: [0.5, 0.1, 0.9, 0.7] as Box }]]))(start());
    expect(placed.things.map(({ pinned }) => pinned)).toEqual([true, true, false]);
    expect(edits.unplace(placed).things.map((thing) => thing.box !== undefined)).toEqual([true, true, false]);
  });

  it("name what was drawn before anyone said what it is", () => {
    const drawn = edits.draw(undefined, [
      [0.2, 0.2, 0.5],
      [0.6, 0.4, 0.5],
    ])(start());
    const named = edits.nameDraft("kite")(drawn);
    expect(named.draft).toEqual([]);
    expect(toScene(named).objects[3]).toEqual({
      category: "kite",
      box: [0.2, 0.2, 0.6, 0.4],
      sketch: {
        strokes: [
          [
            [0, 1],
            [0, 1],
          ],
        ],
      },
    });
  });
});
