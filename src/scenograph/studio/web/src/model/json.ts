/** JSON whose values know where they stand in the text, so that an error can be shown at its place. */

import { SceneError, bounded, readScene, type Scene } from "./scene";

export interface Place {
  readonly start: number;
  readonly end: number;
}

export class JsonError extends Error {
  constructor(
    message: string,
    readonly place: Place,
  ) {
    super(message);
  }
}

/** Reads a scene from text. Throws `JsonError` with the place of what is wrong. */
export function parseScene(text: string): Scene {
  const { value, places } = parseJson(text);
  try {
    return bounded(readScene(value));
  } catch (error) {
    if (!(error instanceof SceneError)) throw error;
    throw new JsonError(error.message, placeOf(error.path, places) ?? { start: 0, end: text.length });
  }
}

/** The place of a path, or of the nearest one around it that stands in the text. */
export function placeOf(path: string, places: ReadonlyMap<string, Place>): Place | undefined {
  for (let at = path; at; at = at.replace(/(\.[^.[]+|\[\d+\]|^[^.[]+)$/, "")) {
    const found = places.get(at);
    if (found) return found;
  }
  return places.get("");
}

/** Line and column, counted from 1. */
export function lineAndColumn(text: string, offset: number): [line: number, column: number] {
  const before = text.slice(0, offset).split("\n");
  return [before.length, before[before.length - 1]!.length + 1];
}

/** A value and the place of every path in it, such as `objects[1].box`; the whole is the empty path. */
export function parseJson(text: string): { value: unknown; places: Map<string, Place> } {
  const reader = new Reader(text);
  const value = reader.value("");
  reader.end();
  return { value, places: reader.places };
}

const DEEPEST = 64;
const TOKEN = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;

class Reader {
  readonly places = new Map<string, Place>();
  private at = 0;
  private depth = 0;

  constructor(private readonly text: string) {}

  value(path: string): unknown {
    this.skip();
    const start = this.at;
    const value = this.unplaced(path);
    this.places.set(path, { start, end: this.at });
    return value;
  }

  end(): void {
    this.skip();
    if (this.at < this.text.length) this.fail("expected the end of the scene");
  }

  private unplaced(path: string): unknown {
    switch (this.text[this.at]) {
      case "{":
        return this.nested(() => this.record(path));
      case "[":
        return this.nested(() => this.list(path));
      case '"':
        return this.string();
      default: {
        const token = this.match(TOKEN);
        if (token === undefined)
          this.fail(this.at < this.text.length ? "expected a value" : "the text ends before the scene does");
        return JSON.parse(token) as unknown;
      }
    }
  }

  private nested<T>(read: () => T): T {
    this.depth += 1;
    if (this.depth > DEEPEST) this.fail("lists within lists, too deep");
    const found = read();
    this.depth -= 1;
    return found;
  }

  private record(path: string): Record<string, unknown> {
    const found: Record<string, unknown> = {};
    this.items("{", "}", () => {
      this.skip();
      const start = this.at;
      if (this.text[this.at] !== '"') this.fail("expected a name in double quotes");
      const name = this.string();
      if (Object.hasOwn(found, name)) this.fail(`"${name}" is given twice`, { start, end: this.at });
      this.expect(":");
      const value = this.value(path ? `${path}.${name}` : name);
      Object.defineProperty(found, name, { value, enumerable: true, writable: true, configurable: true });
    });
    return found;
  }

  private list(path: string): unknown[] {
    const found: unknown[] = [];
    this.items("[", "]", () => {
      found.push(this.value(`${path}[${found.length}]`));
    });
    return found;
  }

  private items(open: string, close: string, read: () => void): void {
    this.expect(open);
    this.skip();
    if (this.text[this.at] === close) {
      this.at += 1;
      return;
    }
    for (;;) {
      read();
      this.skip();
      if (this.text[this.at] === close) break;
      if (this.text[this.at] !== ",") this.fail(`expected "," or "${close}"`);
      this.at += 1;
    }
    this.at += 1;
  }

  private string(): string {
    const token = this.match(STRING);
    if (token === undefined) this.fail("this text in quotes does not end, or has a character that needs a backslash");
    return JSON.parse(token) as string;
  }

  private expect(character: string): void {
    this.skip();
    if (this.text[this.at] !== character) this.fail(`expected "${character}"`);
    this.at += 1;
  }

  private match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    if (found) this.at += found.length;
    return found || undefined;
  }

  private skip(): void {
    while (/\s/.test(this.text[this.at] ?? "x")) this.at += 1;
  }

  private fail(
    message: string,
    place: Place = { start: this.at, end: Math.min(this.at + 1, this.text.length) },
  ): never {
    throw new JsonError(message, place);
  }
}

/** A scene as text: an object and a relation per line. */
export function printScene(scene: Scene): string {
  const list = (name: string, items: readonly unknown[]) =>
    items.length
      ? `  "${name}": [\n${items.map((item) => `    ${printLine(item)}`).join(",\n")}\n  ]`
      : `  "${name}": []`;
  return `{\n${list("objects", scene.objects)},\n${list("relationships", scene.relationships)}\n}\n`;
}

function printLine(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(printLine).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    return `{${Object.entries(value)
      .filter(([, one]) => one !== undefined)
      .map(([name, one]) => `${JSON.stringify(name)}: ${printLine(one)}`)
      .join(", ")}}`;
  }
  return JSON.stringify(value);
}
