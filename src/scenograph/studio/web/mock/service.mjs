// A stand-in for the service while the page is developed without it: plausible answers, no models. It is in no bundle.
import { deflateSync } from "node:zlib";

const VOCABULARY = {
  image: "mock",
  categories: ["boat", "dog", "grass", "house", "kite", "person", "sea", "sheep", "sky-other", "tree"],
  predicates: ["left of", "right of", "above", "below", "behind", "in front of", "on", "standing on", "in", "next to"],
  spatial: ["left of", "right of", "above", "below", "behind", "in front of"],
  attributes: { size: ["large", "small"], color: ["red", "green", "blue", "white", "black"] },
};
const MODELS = {
  layout: [{ id: "mock-layout", title: "Mock layout", default: true }],
  image: [
    { id: "mock", title: "Mock pictures", sizes: [64, 128], steps: 8, layers: false, composed: false, default: true },
  ],
  memory: [],
  search: [],
  sketches: false,
};
const CRC = new Int32Array(256).map((_, at) => {
  let value = at;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type), data]);
  let crc = -1;
  for (const byte of body) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  sum.writeInt32BE(~crc);
  return Buffer.concat([length, body, sum]);
}

/** The boxes as flat colours. */
function paint({ objects }, side) {
  const rows = Buffer.alloc(side * (1 + side * 3), 235);
  for (let y = 0; y < side; y += 1) rows[y * (1 + side * 3)] = 0;
  objects.forEach(({ box: [x0, y0, x1, y1], category }) => {
    const hue = [...category].reduce((sum, one) => sum * 31 + one.charCodeAt(0), 7);
    for (let y = Math.max(0, Math.round(y0 * side)); y < Math.min(side, y1 * side); y += 1) {
      for (let x = Math.max(0, Math.round(x0 * side)); x < Math.min(side, x1 * side); x += 1) {
        rows.set([90 + (hue % 130), 90 + ((hue >> 3) % 130), 90 + ((hue >> 6) % 130)], y * (1 + side * 3) + 1 + x * 3);
      }
    }
  });
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([
    Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]),
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(rows)),
    chunk("IEND", Buffer.alloc(0)),
  ]).toString("base64");
}

const placed = (scene) => ({
  ...scene,
  objects: scene.objects.map((one, at) =>
    one.box
      ? one
      : { ...one, box: [0.1 + (at % 4) * 0.2, 0.2 + (at % 3) * 0.2, 0.3 + (at % 4) * 0.2, 0.45 + (at % 3) * 0.2] },
  ),
});

const ROUTES = {
  "/v1/models": () => MODELS,
  "/v1/vocabulary": () => VOCABULARY,
  "/v1/texts": ({ text }) => ({
    scene: {
      objects: text
        .split(/\W+/)
        .filter((word) => VOCABULARY.categories.includes(word))
        .map((category) => ({ category })),
      relationships: [],
    },
    notes: [],
  }),
  "/v1/descriptions": ({ scene }) => ({
    text: scene.relationships
      .map(([a, p, b]) => `${scene.objects[a].category} ${p} ${scene.objects[b].category}`)
      .join("; "),
    lines: [],
  }),
  "/v1/checks": ({ scene }) => ({ contradictions: [], unknown: [], holds: scene.relationships.map(() => null) }),
  "/v1/layouts": ({ scene }) => ({ scene: placed(scene), notes: [] }),
  "/v1/refine": ({ scene }) => ({ scene }),
  "/v1/pictures": ({ scene, size }) => ({
    picture: paint(placed(scene), size ?? 128),
    scene: placed(scene),
    notes: [],
    milliseconds: { wait: 0, layout: 0, render: 1 },
  }),
  "/healthz": () => ({ status: "ok" }),
};

export function mockService() {
  return {
    name: "mock-service",
    configureServer(server) {
      server.middlewares.use(async (request, response, next) => {
        const route = ROUTES[request.url.split("?")[0]];
        if (!route) return next();
        let body = "";
        for await (const part of request) body += part;
        response.setHeader("Content-Type", "application/json");
        response.end(JSON.stringify(route(body ? JSON.parse(body) : {})));
      });
    },
  };
}
