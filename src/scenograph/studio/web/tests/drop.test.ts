import { beforeEach, expect, test } from "vitest";

import { EMPTY, toScene, withScene } from "../src/model/document";
import { add, all } from "../src/model/edits";
import type { Scene } from "../src/model/scene";
import { document_, edit, names, open, undo, words } from "../src/state";
import { addScene, takeCrop, takeScene } from "../src/views/drop";

const BOX = [0.1, 0.2, 0.3, 0.4] as const;
const FOUND: Scene = {
  objects: [
    { category: "sky-other", box: [0, 0, 1, 0.5] },
    { category: "boat", box: BOX },
    { category: "bird", box: [0.5, 0.1, 0.6, 0.2] },
  ],
  relationships: [
    [2, "above", 1],
    [1, "below", 0],
  ],
};

beforeEach(() => {
  open(EMPTY);
  edit("Begin", all(add({ category: "sea" }), add({ category: "sky-other" })));
});

test("what is here already is not added again, and is related to what comes", () => {
  const sky = document_.value.things[1]!.id;
  addScene(FOUND, [[0, sky]]);
  const scene = toScene(document_.value);
  expect(scene.objects.map(({ category }) => category)).toEqual(["sea", "sky-other", "boat", "bird"]);
  expect(scene.objects[2]!.box).toEqual([...BOX]);
  expect(scene.relationships).toEqual([
    [3, "above", 2],
    [2, "below", 1],
  ]);
  expect(document_.value.things[1]!.id).toBe(sky);
  undo();
  expect(document_.value.things).toHaveLength(2);
});

test("objects that have gone since are added", () => {
  addScene(FOUND, [[0, 99]]);
  expect(document_.value.things).toHaveLength(5);
});

test("nothing changes where all is here or nothing more fits", () => {
  const before = document_.value;
  addScene(
    FOUND,
    [0, 1, 2].map((at) => [at, before.things[0]!.id] as const),
  );
  expect(document_.value).toBe(before);
  open(withScene(EMPTY, { objects: Array.from({ length: 63 }, () => ({ category: "bird" })), relationships: [] }));
  addScene(FOUND, []);
  expect(document_.value.things).toHaveLength(63);
});

test("relations of all pairs are left to the boxes", () => {
  const pairs = [0, 1, 2].flatMap((one) => [0, 1, 2].map((other) => [one, "above", other] as const));
  takeScene({ ...FOUND, relationships: pairs });
  expect(document_.value.things).toHaveLength(3);
  expect(document_.value.links).toEqual([]);
  takeScene(FOUND);
  expect(document_.value.links).toHaveLength(2);
});

test("a crop comes with its origin, and the memory of the others stays", () => {
  const { id } = document_.value.things[0]!;
  const crop = { id: "1", png: "AAAA", source: "s", author: "a", licence: "l", origin: "s, a, l" };
  takeCrop(id, crop);
  expect(document_.value.things[0]).toMatchObject({ crop: { png: "AAAA" }, origin: "s, a, l" });
  expect(document_.value.settings.memory).toBe("drawings");
});

test("things are called as people call them", () => {
  words.value = { "sky-other": "sky" };
  expect([...names.value.values()]).toEqual(["sea", "sky"]);
  expect(toScene(document_.value).objects[1]!.category).toBe("sky-other");
});
