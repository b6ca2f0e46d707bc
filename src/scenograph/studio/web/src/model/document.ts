/** What the page edits: a scene whose objects have identities, with all that undo brings back. */

import type { Box, Mask, ObjectSeed, Relation, Scene, SceneObject } from "./scene";

export type Point = readonly [x: number, y: number];
/** Points with the pressure of the pen, from 0 to 1. Coordinates are relative to the object's box. */
export type Stroke = readonly (readonly [x: number, y: number, pressure: number])[];
export type Sketch = { readonly strokes: readonly Stroke[] } | { readonly png: string };

/** An object of the scene. */
export interface Thing {
  readonly id: number;
  readonly category: string;
  readonly attributes: readonly string[];
  readonly box?: Box;
  /** Whether the box was chosen by the user; others may be placed again. */
  readonly pinned: boolean;
  readonly mask?: Mask;
  readonly seed?: ObjectSeed;
  readonly sketch?: Sketch;
  readonly crop?: { readonly png: string };
  readonly origin?: string;
}

/** A relation of the scene. */
export interface Link {
  readonly subject: number;
  readonly predicate: string;
  readonly object: number;
}

export interface Settings {
  readonly seed: number;
  /** Whether the seed stays when a new scene comes. */
  readonly locked: boolean;
  /** Opaque names of models; undefined leaves the choice to the service. */
  readonly layout?: string | undefined;
  readonly image?: string | undefined;
  readonly memory?: string | undefined;
  readonly size?: number | undefined;
}

const LARGEST_SEED = 999_999_999;
const [SMALLEST_SIZE, LARGEST_SIZE] = [8, 1024];
const isWithin = (value: unknown, low: number, high: number): value is number =>
  Number.isInteger(value) && (value as number) >= low && (value as number) <= high;

/** Settings that may come from anybody, as far as they are some. */
export function readSettings(given: Readonly<Record<string, unknown>>): Partial<Settings> {
  const text = (value: unknown) => (typeof value === "string" ? value : undefined);
  return {
    layout: text(given.layout),
    image: text(given.image),
    memory: text(given.memory),
    size: isWithin(given.size, SMALLEST_SIZE, LARGEST_SIZE) ? given.size : undefined,
    ...(isWithin(given.seed, 0, LARGEST_SEED) && { seed: given.seed }),
  };
}

export interface Document {
  /** From the back to the front. */
  readonly things: readonly Thing[];
  readonly links: readonly Link[];
  /** Where the user put nodes of the graph, in its own units. */
  readonly places: Readonly<Record<number, Point>>;
  /** Strokes on the canvas that belong to no object yet. */
  readonly draft: readonly Stroke[];
  readonly settings: Settings;
  /** The identity of the next object. */
  readonly next: number;
}

export const EMPTY: Document = {
  things: [],
  links: [],
  places: {},
  draft: [],
  settings: { seed: 0, locked: true },
  next: 1,
};

const DECIMALS = 1e4;
export const rounded = (value: number): number => Math.round(value * DECIMALS) / DECIMALS || 0;
const COMMON = ["category", "attributes", "box", "mask", "seed", "sketch", "crop", "origin"] as const;

/** The scene of a document; `boxes` chooses which boxes it has. */
export function toScene(document: Document, boxes: (thing: Thing) => boolean = () => true): Scene {
  const index = new Map(document.things.map((thing, number) => [thing.id, number]));
  return {
    objects: document.things.map((thing) => toObject(thing, boxes(thing))),
    relationships: document.links.map(({ subject, predicate, object }): Relation => [
      index.get(subject)!,
      predicate,
      index.get(object)!,
    ]),
  };
}

function toObject(thing: Thing, boxed: boolean): SceneObject {
  const found: Record<string, unknown> = {};
  for (const name of COMMON) {
    const value = thing[name];
    if (value !== undefined && !(Array.isArray(value) && !value.length)) found[name] = value;
  }
  if (thing.box) found.box = thing.box.map(rounded);
  // A mask is relative to its box: neither is known without the other.
  if (!boxed) (delete found.box, delete found.mask);
  if (thing.sketch && "strokes" in thing.sketch) {
    found.sketch = {
      strokes: thing.sketch.strokes.map((stroke) => [
        stroke.map(([x]) => rounded(x)),
        stroke.map(([, y]) => rounded(y)),
      ]),
    };
  }
  return found as unknown as SceneObject;
}

function toThing(one: SceneObject, id: number): Thing {
  const { sketch, ...rest } = one;
  const strokes =
    sketch && "strokes" in sketch
      ? { strokes: sketch.strokes.map(([xs, ys]) => xs.map((x, at) => [x, ys[at]!, 0.5] as const)) }
      : sketch;
  return {
    ...rest,
    attributes: one.attributes ?? [],
    id,
    pinned: one.box !== undefined,
    ...(strokes && { sketch: strokes }),
  };
}

/** Replaces the scene. Objects that stay what they are at their number keep their identity, and what JSON does not hold. */
export function withScene(document: Document, scene: Scene): Document {
  let next = document.next;
  const before = toScene(document);
  const things = scene.objects.map((one, number) => {
    const old = document.things[number];
    if (!old || old.category !== one.category) return toThing(one, next++);
    if (JSON.stringify(before.objects[number]) === JSON.stringify(toObject(toThing(one, old.id), true))) return old;
    const fresh = toThing(one, old.id);
    return { ...fresh, pinned: old.box && one.box && sameBox(old.box, one.box) ? old.pinned : fresh.pinned };
  });
  const kept = new Set(things.map((thing) => thing.id));
  return {
    ...document,
    things,
    links: scene.relationships.map(([subject, predicate, object]) => ({
      subject: things[subject]!.id,
      predicate,
      object: things[object]!.id,
    })),
    places: Object.fromEntries(Object.entries(document.places).filter(([id]) => kept.has(Number(id)))),
    next,
  };
}

/** Another scene, whose objects have nothing to do with those that were there. */
export function replaceScene(document: Document, scene: Scene): Document {
  return withScene({ ...document, things: [], links: [], places: {}, draft: [] }, scene);
}

/** Leaves all boxes as they are, but free to be placed again. */
export function unpinned(document: Document): Document {
  return { ...document, things: document.things.map((thing) => ({ ...thing, pinned: false })) };
}

const sameBox = (one: Box, other: Box): boolean => one.every((edge, at) => rounded(edge) === rounded(other[at]!));
