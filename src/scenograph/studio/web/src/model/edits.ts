/** Edits: pure functions from a document to another one. An edit that changes nothing returns the same document. */

import type { Document, Link, Point, Settings, Sketch, Stroke, Thing } from "./document";
import { aligned, moved, union, type Alignment } from "./geometry";
import { painted, type Brush } from "./mask";
import { MOST_OBJECTS, type Box, type Mask, type ObjectSeed } from "./scene";
import { boundsOf, erased, intoBox, ontoCanvas } from "./strokes";

export type Edit = (document: Document) => Document;
type Fields = Partial<Omit<Thing, "id">>;
const OFFSET = 0.04;

export const find = (document: Document, id: number): Thing | undefined =>
  document.things.find((thing) => thing.id === id);

/** Changes a field or several of an object. */
export const change =
  (id: number, change: (thing: Thing) => Thing): Edit =>
  (document) => {
    const thing = find(document, id);
    const changed = thing && change(thing);
    if (!thing || changed === thing) return document;
    return { ...document, things: document.things.map((one) => (one.id === id ? changed! : one)) };
  };

export const set = (id: number, fields: Fields): Edit =>
  change(id, (thing) => {
    const differs = Object.entries(fields).some(([name, value]) => thing[name as keyof Thing] !== value);
    return differs ? cleaned({ ...thing, ...fields }) : thing;
  });

/** A thing without fields that are undefined: a mask needs its box. */
function cleaned(thing: Thing): Thing {
  const found = Object.fromEntries(
    Object.entries(thing).filter(([, value]) => value !== undefined),
  ) as unknown as Thing;
  if (found.box) return found;
  const { mask: _, ...rest } = found;
  return { ...rest, pinned: false };
}

/** Adds an object in front of the others. Its identity is the document's `next` before. */
export const add =
  (fields: Fields & { category: string }): Edit =>
  (document) => {
    if (document.things.length >= MOST_OBJECTS) return document;
    const thing = cleaned({ attributes: [], pinned: fields.box !== undefined, ...fields, id: document.next });
    return { ...document, things: [...document.things, thing], next: document.next + 1 };
  };

/** Removes objects with their relations. */
export const remove =
  (ids: readonly number[]): Edit =>
  (document) => {
    const gone = new Set(ids);
    if (!document.things.some((thing) => gone.has(thing.id))) return document;
    return {
      ...document,
      things: document.things.filter((thing) => !gone.has(thing.id)),
      links: document.links.filter((link) => !gone.has(link.subject) && !gone.has(link.object)),
      places: Object.fromEntries(Object.entries(document.places).filter(([id]) => !gone.has(Number(id)))),
    };
  };

/** Copies objects, beside themselves, with the relations among them. */
export const duplicate =
  (ids: readonly number[]): Edit =>
  (document) => {
    const copied = document.things
      .filter((thing) => ids.includes(thing.id))
      .slice(0, MOST_OBJECTS - document.things.length);
    if (!copied.length) return document;
    const fresh = new Map(copied.map((thing, at) => [thing.id, document.next + at]));
    const copies = copied.map((thing): Thing => ({
      ...thing,
      id: fresh.get(thing.id)!,
      ...(thing.box && { box: moved(thing.box, OFFSET, OFFSET), pinned: true }),
    }));
    const links = document.links.filter((link) => fresh.has(link.subject) && fresh.has(link.object));
    return {
      ...document,
      things: [...document.things, ...copies],
      links: [
        ...document.links,
        ...links.map((link) => ({ ...link, subject: fresh.get(link.subject)!, object: fresh.get(link.object)! })),
      ],
      next: document.next + copies.length,
    };
  };

/** Moves an object to a place in the order, counted from the back. */
export const reorder =
  (id: number, to: number): Edit =>
  (document) => {
    const from = document.things.findIndex((thing) => thing.id === id);
    const place = Math.min(Math.max(to, 0), document.things.length - 1);
    if (from < 0 || from === place) return document;
    const things = document.things.filter((thing) => thing.id !== id);
    things.splice(place, 0, document.things[from]!);
    return { ...document, things };
  };

/** Brings an object forward by steps, or back. */
export const raise =
  (id: number, by: number): Edit =>
  (document) =>
    reorder(id, document.things.findIndex((thing) => thing.id === id) + by)(document);

export const isSame = (one: Link, other: Link): boolean =>
  one.subject === other.subject && one.predicate === other.predicate && one.object === other.object;

/** Relates two objects, unless they are related so already. */
export const relate =
  (link: Link): Edit =>
  (document) => {
    const known =
      find(document, link.subject) &&
      find(document, link.object) &&
      link.subject !== link.object &&
      link.predicate.trim();
    if (!known || document.links.some((one) => isSame(one, link))) return document;
    return { ...document, links: [...document.links, link] };
  };

export const unrelate =
  (gone: readonly Link[]): Edit =>
  (document) => {
    const links = document.links.filter((link) => !gone.some((one) => isSame(one, link)));
    return links.length === document.links.length ? document : { ...document, links };
  };

/** Says another relation of the same objects. */
export const rename =
  (link: Link, predicate: string): Edit =>
  (document) => {
    const renamed = { ...link, predicate };
    if (!predicate.trim() || predicate === link.predicate) return document;
    if (document.links.some((one) => isSame(one, renamed))) return unrelate([link])(document);
    return { ...document, links: document.links.map((one) => (isSame(one, link) ? renamed : one)) };
  };

export const putBox = (id: number, box: Box): Edit => set(id, { box, pinned: true });

export const moveBoxes =
  (ids: readonly number[], dx: number, dy: number): Edit =>
  (document) =>
    ids.reduce(
      (found, id) =>
        change(id, (thing) => (thing.box ? { ...thing, box: moved(thing.box, dx, dy), pinned: true } : thing))(found),
      document,
    );

export const align =
  (ids: readonly number[], to: Alignment): Edit =>
  (document) => {
    const boxes = document.things.flatMap((thing) => (ids.includes(thing.id) && thing.box ? [thing.box] : []));
    if (!boxes.length) return document;
    const frame: Box = boxes.length > 1 ? union(boxes) : [0, 0, 1, 1];
    return ids.reduce(
      (found, id) =>
        change(id, (thing) => (thing.box ? { ...thing, box: aligned(thing.box, frame, to), pinned: true } : thing))(
          found,
        ),
      document,
    );
  };

/** Adopts boxes that a model placed, for objects that have none. */
export const adoptBoxes =
  (boxes: ReadonlyMap<number, { box: Box; mask?: Mask | undefined }>): Edit =>
  (document) => {
    const needed = document.things.some((thing) => !thing.box && boxes.has(thing.id));
    if (!needed) return document;
    return {
      ...document,
      things: document.things.map((thing) =>
        thing.box ? thing : cleaned({ ...thing, ...boxes.get(thing.id) } as Thing),
      ),
    };
  };

/** Moves boxes to where the solver put them. */
export const moveTo =
  (boxes: ReadonlyMap<number, Box>): Edit =>
  (document) =>
    [...boxes].reduce(
      (found, [id, box]) =>
        change(id, (thing) => (thing.box?.every((edge, at) => edge === box[at]) ? thing : { ...thing, box }))(found),
      document,
    );

/** Takes the boxes away that the user did not choose, so that they are placed again. */
export const unplace: Edit = (document) => {
  if (document.things.every((thing) => thing.pinned || !thing.box)) return document;
  return {
    ...document,
    things: document.things.map((thing) =>
      thing.pinned ? thing : cleaned({ ...thing, box: undefined } as unknown as Thing),
    ),
  };
};

export const paint = (id: number, brush: Brush): Edit =>
  change(id, (thing) => ({ ...thing, ...painted(thing.box, thing.mask, brush), pinned: true }));

/** Draws a stroke, given on the canvas, for an object, or as a draft of one to come. */
export const draw =
  (id: number | undefined, stroke: Stroke): Edit =>
  (document) => {
    const thing = id === undefined ? undefined : find(document, id);
    if (!thing) return { ...document, draft: [...document.draft, stroke] };
    const box = thing.box ?? boundsOf([stroke]);
    const strokes = thing.sketch && "strokes" in thing.sketch ? thing.sketch.strokes : [];
    return set(thing.id, { box, sketch: { strokes: [...strokes, intoBox(stroke, box)] } })(document);
  };

/** Erases along a path on the canvas, in the draft and in the sketches of an object or of all. */
export const erase =
  (id: number | undefined, path: readonly (readonly [number, number])[], radius: number): Edit =>
  (document) => {
    const things = document.things.map((thing): Thing => {
      if ((id !== undefined && thing.id !== id) || !thing.box || !thing.sketch || !("strokes" in thing.sketch))
        return thing;
      const before = thing.sketch.strokes.map((stroke) => ontoCanvas(stroke, thing.box!));
      const after = erased(before, path, radius);
      if (after === before) return thing;
      const sketch: Sketch | undefined = after.length
        ? { strokes: after.map((stroke) => intoBox(stroke, thing.box!)) }
        : undefined;
      return cleaned({ ...thing, sketch } as unknown as Thing);
    });
    const draft = erased(document.draft, path, radius);
    if (draft === document.draft && things.every((thing, at) => thing === document.things[at])) return document;
    return { ...document, things, draft };
  };

/** Makes an object of the draft. */
export const nameDraft =
  (category: string): Edit =>
  (document) => {
    if (!document.draft.length || document.things.length >= MOST_OBJECTS) return document;
    const box = boundsOf(document.draft);
    const sketch = { strokes: document.draft.map((stroke) => intoBox(stroke, box)) };
    return { ...add({ category, box, sketch })(document), draft: [] };
  };

export const dropDraft: Edit = (document) => (document.draft.length ? { ...document, draft: [] } : document);

/** Gives an object looks of its own, or leaves them to the seed of the picture. */
export const setSeed = (id: number, seed: ObjectSeed | undefined): Edit => set(id, { seed } as Fields);

export const putNode =
  (id: number, place: Point): Edit =>
  (document) => ({ ...document, places: { ...document.places, [id]: place } });

export const configure =
  (settings: Partial<Settings>): Edit =>
  (document) => {
    const differs = Object.entries(settings).some(
      ([name, value]) => document.settings[name as keyof Settings] !== value,
    );
    return differs ? { ...document, settings: { ...document.settings, ...settings } } : document;
  };

/** Edits one after another. */
export const all =
  (...edits: readonly Edit[]): Edit =>
  (document) =>
    edits.reduce((found, edit) => edit(found), document);
