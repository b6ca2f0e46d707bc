import { describe, expect, it } from "vitest";

import { EMPTY, replaceScene, toScene, withScene } from "../src/model/document";
import { JsonError, lineAndColumn, parseJson, parseScene, printScene } from "../src/model/json";
import { decodeMask, encodeMask } from "../src/model/mask";
import { MOST_OBJECTS, type Scene } from "../src/model/scene";
import { fromFragment, toFragment } from "../src/io/share";

const SCENE: Scene = {
  objects: [
    { category: "grass", seed: [3, 0] },
    {
      category: "sheep",
      attributes: ["white"],
      box: [0.1, 0.2, 0.4, 0.6],
      mask: { size: [2, 2], counts: [1, 2, 1] },
      seed: [7, 9, 0.5],
      origin: "drawn here",
    },
    {
      category: "tree",
      box: [0.5, 0, 0.9, 0.8],
      sketch: {
        strokes: [
          [
            [0, 0.5, 1],
            [0, 1, 0],
          ],
        ],
      },
      crop: { png: "iVBORw0KGgo=" },
    },
  ],
  relationships: [
    [1, "standing on", 0],
    [2, "behind", 1],
  ],
};

describe("JSON", () => {
  it("reads what it prints", () => {
    expect(parseScene(printScene(SCENE))).toEqual(SCENE);
    expect(toScene(replaceScene(EMPTY, SCENE))).toEqual(SCENE);
  });

  it("reads the form that the field uses", () => {
    const scene = parseScene('[{"objects": ["sky", "grass"], "relationships": [[0, "above", 1]]}]');
    expect(scene).toEqual({ objects: [{ category: "sky" }, { category: "grass" }], relationships: [[0, "above", 1]] });
  });

  it.each([
    ['{"objects": ["sheep",\n  {"category": "tree", "box": [0, 0, 0, 1]}]}', 2, "objects[1].box", "[0, 0, 0, 1]"],
    ['{"objects": [{"category": "tree", "box": [10, 20, 64, 64]}]}', 1, "objects[0].box", "[10, 20, 64, 64]"],
    ['{"objects": ["sheep"],\n"relationships": [[0, "on", 3]]}', 2, "relationships[0][2]", "3"],
    ['{"objects": [{"category": "sheep", "colour": "red"}]}', 1, "objects[0].colour", '"red"'],
    ['{"objects": ["sheep"\n "tree"]}', 2, 'expected "," or "]"', '"'],
    ['{"objects": ["sheep]}', 1, "does not end", '"'],
    [
      '{"objects": [{"category": "tree", "mask": {"size": [2, 2], "counts": [3]}}]}',
      1,
      "objects[0].mask",
      '{"size": [2, 2], "counts": [3]}',
    ],
    ["", 1, "the text ends", ""],
  ])("names the place of what is wrong in %s", (text, line, message, marked) => {
    let error: unknown;
    try {
      parseScene(text);
    } catch (found) {
      error = found;
    }
    expect(error).toBeInstanceOf(JsonError);
    const { place } = error as JsonError;
    expect((error as JsonError).message).toContain(message);
    expect(lineAndColumn(text, place.start)[0]).toBe(line);
    expect(text.slice(place.start, place.end)).toBe(marked);
  });

  it("agrees with the browser about what is JSON", () => {
    for (const text of ['{"a": [1, -2.5e3, true, null, "\\u00e4\\n"]}', "[]", '"x"', " 7 "])
      expect(parseJson(text).value).toEqual(JSON.parse(text));
    for (const text of ["01", "[1,]", "{a: 1}", "'x'", "[1] 2", "nul", '"\t"']) {
      expect(() => JSON.parse(text) as unknown).toThrow();
      expect(() => parseJson(text)).toThrow(JsonError);
    }
  });

  it.each([
    ['"sheep",'.repeat(MOST_OBJECTS) + '"sheep"', "objects"],
    ['{"category": "sheep", "mask": {"size": [100000, 100000], "counts": [10000000000]}}', "objects[0].mask"],
    [`{"category": "sheep", "sketch": {"strokes": [${"[[0], [0]],".repeat(2000)}[[0], [0]]]}}`, "objects[0].sketch"],
  ])("refuses what would take minutes to show: %.20s", (objects, path) => {
    expect(() => parseScene(`{"objects": [${objects}]}`)).toThrow(`${path}: at most`);
  });

  it("does not let a name reach the prototype", () => {
    const { value } = parseJson('{"__proto__": {"polluted": true}}');
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
    expect(Object.keys(value as object)).toEqual(["__proto__"]);
  });
});

describe("documents", () => {
  it("keep the identity of what did not change", () => {
    const before = replaceScene(EMPTY, SCENE);
    const after = withScene(before, {
      ...SCENE,
      objects: [SCENE.objects[0]!, { category: "sheep", box: [0, 0, 0.5, 0.5] }, SCENE.objects[2]!],
    });
    expect(after.things[0]).toBe(before.things[0]);
    expect(after.things[1]!.id).toBe(before.things[1]!.id);
    expect(after.things[2]).toBe(before.things[2]);
    expect(withScene(before, { objects: [{ category: "cow" }], relationships: [] }).things[0]!.id).not.toBe(
      before.things[0]!.id,
    );
  });

  it("leave out boxes with their masks", () => {
    const scene = toScene(replaceScene(EMPTY, SCENE), (thing) => thing.category !== "sheep");
    expect(scene.objects[1]).toEqual({
      category: "sheep",
      attributes: ["white"],
      seed: [7, 9, 0.5],
      origin: "drawn here",
    });
  });
});

describe("masks", () => {
  it("are COCO's run lengths, column by column", () => {
    const cells = decodeMask({ size: [2, 3], counts: [1, 2, 3] });
    // Column by column: 0 1 | 1 0 | 0 0.
    expect([...cells.values]).toEqual([0, 1, 0, 1, 0, 0]);
    expect(encodeMask(cells)).toEqual({ size: [2, 3], counts: [1, 2, 3] });
  });
});

describe("links", () => {
  it("hold the whole scene", async () => {
    const document = {
      ...replaceScene(EMPTY, SCENE),
      settings: { seed: 42, locked: true, image: "some-model", size: 128 },
    };
    const fragment = await toFragment(document);
    expect(fragment).toMatch(/^#scene=[\w-]+$/);
    const opened = (await fromFragment(fragment))!(EMPTY);
    expect(toScene(opened)).toEqual(SCENE);
    expect(opened.settings).toEqual({ seed: 42, locked: true, image: "some-model", size: 128 });
  });

  it("bring along no settings that the page would not make", async () => {
    const settings = { seed: 1e300, locked: true, size: 9e9 };
    const opened = (await fromFragment(await toFragment({ ...replaceScene(EMPTY, SCENE), settings })))!(EMPTY);
    expect(opened.settings).toEqual({ ...EMPTY.settings, size: undefined });
  });

  it("of scenes that are too large are refused", async () => {
    const objects = Array.from({ length: 10_000 }, () => ({ category: "x" }));
    const fragment = await toFragment(replaceScene(EMPTY, { objects, relationships: [] }));
    await expect(fromFragment(fragment)).rejects.toThrow("whole scene");
  });

  it("that are damaged are refused", async () => {
    const fragment = await toFragment(replaceScene(EMPTY, SCENE));
    await expect(fromFragment(fragment.slice(0, -20))).rejects.toThrow("whole scene");
    await expect(fromFragment("#scene=%%%")).rejects.toThrow("whole scene");
    expect(await fromFragment("#other")).toBeUndefined();
  });

  it("that unpack to far more than they are do not fill the memory", async () => {
    const bomb = new Blob([`{"scene": {"objects": ["${"x".repeat(20_000_000)}"]}}`])
      .stream()
      .pipeThrough(new CompressionStream("deflate-raw"));
    const bytes = new Uint8Array(await new Response(bomb).arrayBuffer());
    const fragment = `#scene=${btoa(Array.from(bytes, (one) => String.fromCharCode(one)).join(""))
      .replaceAll("+", "-")
      .replaceAll("/", "_")}`;
    await expect(fromFragment(fragment)).rejects.toThrow("whole scene");
  });
});
