/** Scenes to begin with. Their boxes are known, so that the first picture needs no placing. */

import type { Box, Relation, Scene, SceneObject } from "./model/scene";

export interface Example {
  readonly title: string;
  readonly scene: Scene;
}

const one = (category: string, box: Box, ...attributes: string[]): SceneObject => ({
  category,
  box,
  ...(attributes.length && { attributes }),
});
const relations = (...given: Relation[]): Relation[] => given;

export const NOTHING: Example = { title: "Empty scene", scene: { objects: [], relationships: [] } };

export const EXAMPLES: readonly Example[] = [
  {
    title: "Meadow by the sea",
    scene: {
      objects: [
        one("sky-other", [0, 0, 1, 0.42]),
        one("sea", [0, 0.4, 1, 0.62]),
        one("grass", [0, 0.58, 1, 1]),
        one("boat", [0.66, 0.36, 0.86, 0.54]),
        one("tree", [0.04, 0.24, 0.34, 0.74]),
        one("sheep", [0.36, 0.62, 0.58, 0.82]),
        one("sheep", [0.64, 0.68, 0.92, 0.94]),
      ],
      relationships: relations(
        [0, "above", 1],
        [1, "above", 2],
        [3, "in", 1],
        [4, "left of", 5],
        [5, "standing on", 2],
        [6, "standing on", 2],
        [5, "left of", 6],
      ),
    },
  },
  {
    title: "Sunday in the park",
    scene: {
      objects: [
        one("sky-other", [0, 0, 1, 0.5]),
        one("grass", [0, 0.48, 1, 1]),
        one("house", [0.58, 0.14, 0.96, 0.6]),
        one("tree", [0.02, 0.1, 0.34, 0.64]),
        one("bench", [0.36, 0.56, 0.64, 0.76]),
        one("dog", [0.66, 0.7, 0.88, 0.92]),
        one("kite", [0.4, 0.08, 0.56, 0.26], "red"),
      ],
      relationships: relations(
        [0, "above", 1],
        [2, "behind", 4],
        [3, "left of", 4],
        [5, "right of", 4],
        [6, "above", 4],
        [5, "standing on", 1],
      ),
    },
  },
  {
    title: "Cubes and spheres",
    scene: {
      objects: [
        one("cube", [0.12, 0.4, 0.4, 0.72], "large", "yellow", "rubber"),
        one("sphere", [0.6, 0.5, 0.78, 0.68], "small", "purple", "metal"),
        one("cylinder", [0.44, 0.28, 0.6, 0.48], "small", "cyan", "rubber"),
      ],
      relationships: relations([0, "left of", 1], [2, "behind", 0]),
    },
  },
];
