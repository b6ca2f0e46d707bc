/** What can be dragged from the drawers into the scene. */

import type { Crop } from "../api";
import { MOST_OBJECTS, type Scene } from "../model/scene";
import { add, all, configure, set, type Edit } from "../model/edits";
import { boxBetween, contains } from "../model/geometry";
import { replaceScene, withScene, toScene } from "../model/document";
import { document_, edit, insert, nameOf, select } from "../state";

const TYPE = "application/x-scenograph";
const DROPPED = 0.3;

export type Dragged =
  | { readonly kind: "crop"; readonly category: string; readonly memory: string; readonly crop: Crop }
  | { readonly kind: "scene"; readonly scene: Scene };

export function startDrag(event: DragEvent, dragged: Dragged): void {
  event.dataTransfer?.setData(TYPE, JSON.stringify(dragged));
}

/** Takes what was dropped at a point of the canvas. Files are left to the page. */
export function readDrop(event: DragEvent, [x, y]: [number, number]): void {
  const text = event.dataTransfer?.getData(TYPE);
  if (!text) return;
  event.preventDefault();
  const dragged = JSON.parse(text) as Dragged;
  if (dragged.kind === "scene") return addScene(dragged.scene);
  const target = document_.value.things.findLast(
    (thing) => thing.category === dragged.category && thing.box && contains(thing.box, x, y),
  );
  if (target) return takeCrop(target.id, dragged.memory, dragged.crop);
  const id = document_.value.next;
  const box = boxBetween(x - DROPPED / 2, y - DROPPED / 2, x + DROPPED / 2, y + DROPPED / 2);
  insert(
    `Add ${dragged.category}`,
    all(add({ category: dragged.category, box }), cropEdit(id, dragged.memory, dragged.crop)),
  );
}

/** What is composed of a memory's crops takes those that objects bring along, too. */
const cropEdit = (id: number, memory: string, crop: Crop): Edit =>
  all(configure({ memory }), set(id, { crop: { png: crop.png }, origin: crop.origin }));

export function takeCrop(id: number, memory: string, crop: Crop): void {
  edit(`Use a crop for ${nameOf(id)}`, cropEdit(id, memory, crop));
}

/** Adds the objects of a scene to those that are there. */
export function addScene(scene: Scene): void {
  edit("Add the found scene", (document) => {
    const here = toScene(document);
    const shift = here.objects.length;
    const merged = {
      objects: [...here.objects, ...scene.objects],
      relationships: [
        ...here.relationships,
        ...scene.relationships.map(
          ([subject, predicate, object]) => [subject + shift, predicate, object + shift] as const,
        ),
      ],
    };
    return merged.objects.length > MOST_OBJECTS ? document : withScene(document, merged);
  });
}

export function takeScene(scene: Scene): void {
  select(undefined);
  edit("Use the found scene", (document) => replaceScene(document, scene));
}
