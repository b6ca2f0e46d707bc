/** What can be dragged from the drawers into the scene. */

import type { Crop } from "../api";
import { MOST_OBJECTS, type Scene } from "../model/scene";
import { add, all, configure, set, type Edit } from "../model/edits";
import { boxBetween, contains } from "../model/geometry";
import { replaceScene, withScene, toScene } from "../model/document";
import { beginWith, document_, edit, insert, nameOf, notify, word } from "../state";

const TYPE = "application/x-scenograph";
const DROPPED = 0.3;
/** The memory that looks like pictures without one. */
const DRAWINGS = "drawings";
/** Packs relate all pairs of objects by their boxes, which say as much: so many relations an object are no graph. */
const MOST_RELATIONS = 2;

export type Dragged =
  | { readonly kind: "crop"; readonly category: string; readonly crop: Crop }
  | { readonly kind: "scene"; readonly scene: Scene; readonly here: Here };

/** The objects of a found scene that are here already, by number, with the things that they are like. */
export type Here = readonly (readonly [found: number, thing: number])[];

export function startDrag(event: DragEvent, dragged: Dragged): void {
  event.dataTransfer?.setData(TYPE, JSON.stringify(dragged));
}

/** Takes what was dropped at a point of the canvas. Files are left to the page. */
export function readDrop(event: DragEvent, [x, y]: [number, number]): void {
  const text = event.dataTransfer?.getData(TYPE);
  if (!text) return;
  event.preventDefault();
  const dragged = JSON.parse(text) as Dragged;
  if (dragged.kind === "scene") return addScene(dragged.scene, dragged.here);
  const target = document_.value.things.findLast(
    (thing) => thing.category === dragged.category && thing.box && contains(thing.box, x, y),
  );
  if (target) return takeCrop(target.id, dragged.crop);
  const id = document_.value.next;
  const box = boxBetween(x - DROPPED / 2, y - DROPPED / 2, x + DROPPED / 2, y + DROPPED / 2);
  insert(`Add ${word(dragged.category)}`, all(add({ category: dragged.category, box }), cropEdit(id, dragged.crop)));
}

/** What is composed of crops takes those that objects bring along; all else stays as it is, from whichever memory. */
const cropEdit =
  (id: number, crop: Crop): Edit =>
  (document) =>
    all(
      configure({ memory: document.settings.memory ?? DRAWINGS }),
      set(id, { crop: { png: crop.png }, origin: crop.origin }),
    )(document);

export function takeCrop(id: number, crop: Crop): void {
  edit(`Use a crop for ${nameOf(id)}`, cropEdit(id, crop));
}

/** Adds the objects of a scene, in their boxes, to those that are there; what is here already is not added again. */
export function addScene(scene: Scene, here: Here): void {
  const before = document_.value;
  const index = new Map(
    here.flatMap(([found, id]) => {
      const at = before.things.findIndex((thing) => thing.id === id);
      return at < 0 ? [] : [[found, at] as const];
    }),
  );
  const added = scene.objects.filter((_, found) => !index.has(found));
  if (!added.length) return notify("All objects of the found scene are here already.");
  if (before.things.length + added.length > MOST_OBJECTS)
    return notify(`A scene holds at most ${MOST_OBJECTS} objects.`);
  added.forEach((one, at) => index.set(scene.objects.indexOf(one), before.things.length + at));
  edit(`Add ${added.map(({ category }) => word(category)).join(", ")}`, (document) => {
    const now = toScene(document);
    return withScene(document, {
      objects: [...now.objects, ...added],
      relationships: [
        ...now.relationships,
        ...relationsOf(scene)
          .filter(
            ([subject, , object]) => added.includes(scene.objects[subject]!) || added.includes(scene.objects[object]!),
          )
          .map(([subject, predicate, object]) => [index.get(subject)!, predicate, index.get(object)!] as const),
      ],
    });
  });
}

export function takeScene(scene: Scene): void {
  beginWith("Use the found scene", (document) =>
    replaceScene(document, { ...scene, relationships: relationsOf(scene) }),
  );
}

const relationsOf = ({ objects, relationships }: Scene): Scene["relationships"] =>
  relationships.length > MOST_RELATIONS * objects.length ? [] : relationships;
