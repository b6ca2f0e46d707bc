/** A scene in Scenograph's JSON form (docs/scenes.md). */

export type Box = readonly [x0: number, y0: number, x1: number, y1: number];
/** COCO's uncompressed run lengths: column by column, zeros first, relative to the object's box. */
export type Mask = { readonly size: readonly [height: number, width: number]; readonly counts: readonly number[] };
export type SketchJson =
  { readonly strokes: readonly (readonly [readonly number[], readonly number[]])[] } | { readonly png: string };
/** A seed, a picture's and an object's number there, or two and the way from one to the other. */
export type ObjectSeed = number | readonly [number, number] | readonly [number, number, number];

export interface SceneObject {
  readonly category: string;
  readonly attributes?: readonly string[];
  readonly box?: Box;
  readonly mask?: Mask;
  readonly seed?: ObjectSeed;
  readonly sketch?: SketchJson;
  readonly crop?: { readonly png: string };
  readonly origin?: string;
}

export type Relation = readonly [subject: number, predicate: string, object: number];

export interface Scene {
  readonly objects: readonly SceneObject[];
  readonly relationships: readonly Relation[];
}

/** What is wrong with a scene, and where: a path such as `objects[1].box`. */
export class SceneError extends Error {
  constructor(
    readonly path: string,
    problem: string,
  ) {
    super(path ? `${path}: ${problem}` : problem);
  }
}

/** The most that the service takes in a scene; here, too, more would take minutes to show. */
export const MOST_OBJECTS = 64;
const MOST_RELATIONS = 2048;
const MOST_STROKES = 2000;
const MOST_CELLS = 16_000_000;

/** A scene that may come from anybody. Throws `SceneError` if it holds more than the service takes. */
export function bounded(scene: Scene): Scene {
  let strokes = 0;
  let cells = 0;
  const check = (path: string, count: number, most: number, what: string): void => {
    if (count > most) throw new SceneError(path, `at most ${most.toLocaleString("en")} ${what} are allowed`);
  };
  check("objects", scene.objects.length, MOST_OBJECTS, "objects");
  check("relationships", scene.relationships.length, MOST_RELATIONS, "relations");
  scene.objects.forEach(({ sketch, mask }, number) => {
    strokes += sketch && "strokes" in sketch ? sketch.strokes.length : 0;
    cells += mask ? mask.size[0] * mask.size[1] : 0;
    check(`objects[${number}].sketch`, strokes, MOST_STROKES, "strokes in a scene");
    check(`objects[${number}].mask`, cells, MOST_CELLS, "cells of masks in a scene");
  });
  return scene;
}

const FIELDS = new Set(["category", "attributes", "box", "mask", "seed", "sketch", "crop", "origin"]);

/** Reads a scene from parsed JSON. Throws `SceneError` for what is none; the service checks names. */
export function readScene(value: unknown): Scene {
  if (Array.isArray(value)) {
    if (value.length !== 1) throw new SceneError("", `expected one scene, found a list of ${value.length}`);
    value = value[0];
  }
  if (!isRecord(value)) throw new SceneError("", 'expected a scene: {"objects": [...], "relationships": [...]}');
  for (const name of Object.keys(value)) {
    if (name !== "objects" && name !== "relationships")
      throw new SceneError(name, "a scene has no such field; it has objects and relationships");
  }
  if (!Array.isArray(value.objects)) throw new SceneError("objects", "expected a list of objects");
  const objects = value.objects.map((one, index) => readObject(one, `objects[${index}]`));
  const given = value.relationships ?? [];
  if (!Array.isArray(given)) throw new SceneError("relationships", "expected a list of [subject, predicate, object]");
  return {
    objects,
    relationships: given.map((one, index) => readRelation(one, `relationships[${index}]`, objects.length)),
  };
}

function readObject(value: unknown, path: string): SceneObject {
  if (typeof value === "string") value = { category: value };
  if (!isRecord(value)) throw new SceneError(path, "expected a name, or an object with a category");
  for (const name of Object.keys(value)) {
    if (!FIELDS.has(name))
      throw new SceneError(`${path}.${name}`, `no such field; an object has ${[...FIELDS].join(", ")}`);
  }
  const category = value.category;
  if (typeof category !== "string" || !category.trim()) throw new SceneError(`${path}.category`, "expected a name");
  return {
    category,
    ...optional(value, "attributes", (one) => isListOf(one, isText) && one, path, "expected a list of names"),
    ...optional(
      value,
      "box",
      (one) => isBox(one) && one,
      path,
      "expected [x0, y0, x1, y1] with x0 < x1 and y0 < y1, fractions of the canvas, at least partly on it",
    ),
    ...optional(
      value,
      "mask",
      (one) => isMask(one) && one,
      path,
      'expected {"size": [height, width], "counts": [run lengths]} whose lengths sum to height x width',
    ),
    ...optional(value, "seed", (one) => isSeed(one) && one, path, "expected a seed such as 7, [7, 2] or [7, 9, 0.5]"),
    ...optional(
      value,
      "sketch",
      (one) => isSketch(one) && one,
      path,
      'expected {"strokes": [[[x, ...], [y, ...]], ...]} or {"png": base64}',
    ),
    ...optional(value, "crop", (one) => isPng(one) && one, path, 'expected {"png": base64}'),
    ...optional(value, "origin", (one) => isText(one) && one, path, "expected a text"),
  };
}

function optional<Name extends keyof SceneObject, Value>(
  record: Record<string, unknown>,
  name: Name,
  read: (value: unknown) => Value | false,
  path: string,
  problem: string,
): { [key in Name]?: Value } {
  const value = record[name];
  if (value === undefined || value === null) return {};
  const found = read(value);
  if (found === false && value !== false) throw new SceneError(`${path}.${name}`, problem);
  return { [name]: found } as { [key in Name]?: Value };
}

function readRelation(value: unknown, path: string, objects: number): Relation {
  if (!Array.isArray(value) || value.length !== 3) throw new SceneError(path, "expected [subject, predicate, object]");
  const [subject, predicate, object] = value;
  if (typeof predicate !== "string" || !predicate.trim())
    throw new SceneError(`${path}[1]`, "expected the name of a relation");
  for (const [place, index] of [
    [0, subject],
    [2, object],
  ] as const) {
    if (!Number.isInteger(index) || index < 0 || index >= objects) {
      throw new SceneError(
        `${path}[${place}]`,
        objects ? `expected the number of an object, from 0 to ${objects - 1}` : "there are no objects",
      );
    }
  }
  if (subject === object) throw new SceneError(path, "an object has no relation to itself");
  return [subject, predicate, object];
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isText = (value: unknown): value is string => typeof value === "string";
const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);
const isCount = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0;
const isListOf = <T>(value: unknown, is: (one: unknown) => one is T): value is T[] =>
  Array.isArray(value) && value.every(is);
const isPng = (value: unknown): value is { png: string } => isRecord(value) && isText(value.png);

/** Four edges of a box that is not empty, of which some is on the canvas, in fractions and not in pixels. */
function isBox(value: unknown): value is Box {
  if (!isListOf(value, isNumber) || value.length !== 4) return false;
  const [x0, y0, x1, y1] = value as [number, number, number, number];
  return x0 < x1 && y0 < y1 && x1 > 0 && y1 > 0 && x0 < 1 && y0 < 1 && value.every((edge) => Math.abs(edge) <= 4);
}

function isMask(value: unknown): value is Mask {
  if (!isRecord(value) || !isListOf(value.size, isCount) || value.size.length !== 2 || !isListOf(value.counts, isCount))
    return false;
  return (
    value.counts.reduce((sum, one) => sum + one, 0) === value.size[0]! * value.size[1]! &&
    value.size[0]! > 0 &&
    value.size[1]! > 0
  );
}

function isSeed(value: unknown): value is ObjectSeed {
  return isCount(value) || (isListOf(value, isNumber) && (value.length === 2 || value.length === 3));
}

function isSketch(value: unknown): value is SketchJson {
  if (isPng(value)) return true;
  return (
    isRecord(value) &&
    Array.isArray(value.strokes) &&
    value.strokes.every(
      (stroke) =>
        isListOf(stroke, (axis): axis is number[] => isListOf(axis, isNumber)) &&
        stroke.length === 2 &&
        stroke[0]!.length > 0 &&
        stroke[0]!.length === stroke[1]!.length,
    )
  );
}
