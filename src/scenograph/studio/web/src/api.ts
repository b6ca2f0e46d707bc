/** The service, as the page speaks with it. */

import { readScene, type Scene } from "./model/scene";

export interface LayoutModel {
  readonly id: string;
  readonly title: string;
  readonly default?: boolean;
}

export interface ImageModel extends LayoutModel {
  readonly sizes: readonly number[];
  readonly steps: number | null;
  /** Whether it paints objects in layers that can be exported. */
  readonly layers: boolean;
  /** Whether it composes drawings instead of generating pixels. */
  readonly composed: boolean;
}

export interface Models {
  readonly layout: readonly LayoutModel[];
  readonly image: readonly ImageModel[];
  readonly memory: readonly { readonly id: string; readonly crops?: number }[];
  readonly search: readonly { readonly id: string; readonly scenes?: number }[];
  readonly sketches: boolean;
}

export interface Vocabulary {
  /** The image model whose names these are. */
  readonly image: string;
  readonly categories: readonly string[];
  readonly predicates: readonly string[];
  readonly spatial: readonly string[];
  readonly attributes: Readonly<Record<string, readonly string[]>>;
  /** Words that are read as categories. */
  readonly synonyms?: Readonly<Record<string, string>>;
  /** What people call categories that they have other words for. */
  readonly spoken?: Readonly<Record<string, string>>;
}

export interface Checks {
  readonly contradictions: readonly { readonly relations: readonly number[]; readonly repair: readonly number[] }[];
  readonly unknown: readonly {
    readonly object: number;
    readonly category: string;
    readonly nearest: readonly string[];
  }[];
  readonly holds: readonly (boolean | null)[];
}

export interface PictureRequest {
  readonly scene: Scene;
  readonly seed: number;
  readonly layout?: string | undefined;
  readonly image?: string | undefined;
  readonly memory?: string | undefined;
  readonly size?: number | undefined;
  readonly steps?: number | undefined;
  readonly session?: string | undefined;
}

export interface PictureReply {
  readonly picture: string;
  readonly scene: Scene;
  readonly notes: readonly string[];
  readonly milliseconds: { readonly wait: number; readonly layout: number; readonly render: number };
}

export interface Crop {
  readonly id: string;
  readonly png: string;
  readonly source: string;
  readonly author: string;
  readonly licence: string;
  /** All of these in one line, as a scene records it. */
  readonly origin: string;
}

export interface SearchResult {
  readonly id: string;
  readonly score: number;
  readonly thumbnail: string;
  readonly scene: Scene;
  readonly matches: readonly (readonly [query: number, found: number])[];
  readonly author: string;
  readonly licence: string;
}

export interface Recorded {
  readonly scene: Scene;
  readonly seed: number;
  readonly layout?: string | null;
  readonly image?: string | null;
  readonly memory?: string | null;
  readonly options: { readonly size?: number };
  readonly notes: readonly string[];
}

export type ExportKind = "layers" | "openraster" | "coco" | "graph-svg" | "layout-svg" | "scene";

/** What the service refused, in its own words. */
export class ServiceError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly where: string | null,
    /** Seconds after which the service asks to be tried again. */
    readonly retryAfter: number | null,
  ) {
    super(message);
  }

  /** The number of the object or relation that the error is about. */
  get index(): number | undefined {
    const found = /\[(\d+)\]/.exec(this.where ?? "");
    return found ? Number(found[1]) : undefined;
  }
}

/** The service cannot be reached. */
export class Unreachable extends Error {}

/** How long an answer may take before the service counts as gone. */
const PATIENCE = 120_000;

async function request(path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
  const timeout = AbortSignal.timeout(PATIENCE);
  let response: Response;
  try {
    response = await fetch(path, {
      ...(body === undefined
        ? {}
        : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      cache: "no-store",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Unreachable("The service cannot be reached.");
  }
  if (response.ok) return response;
  if (response.status === 502 || response.status === 504) throw new Unreachable("The service cannot be reached.");
  throw await refusal(response);
}

async function refusal(response: Response): Promise<ServiceError> {
  const retry = Number(response.headers.get("Retry-After")) || null;
  try {
    const { error } = (await response.json()) as { error: { code: string; message: string; where?: string | null } };
    return new ServiceError(response.status, error.code, error.message, error.where ?? null, retry);
  } catch {
    return new ServiceError(
      response.status,
      "unexpected",
      `The service answered with status ${response.status}.`,
      null,
      retry,
    );
  }
}

const get = async <Reply>(path: string): Promise<Reply> => (await request(path, undefined)).json() as Promise<Reply>;
const post = async <Reply>(path: string, body: unknown, signal?: AbortSignal): Promise<Reply> =>
  (await request(path, body, signal)).json() as Promise<Reply>;

/** Scenes come in the short form, too, in which an object may be its name alone. */
const withScene = <Reply extends { scene: Scene }>(reply: Reply): Reply => ({
  ...reply,
  scene: readScene(reply.scene),
});

export const api = {
  models: () => get<Models>("v1/models"),
  vocabulary: (layout?: string, image?: string) => {
    const query = new URLSearchParams({ ...(layout && { layout }), ...(image && { image }) }).toString();
    return get<Vocabulary>(`v1/vocabulary${query && `?${query}`}`);
  },
  read: (text: string, layout?: string, image?: string) =>
    post<{ scene: Scene; notes: string[] }>("v1/texts", { text, layout, image }).then(withScene),
  describe: (scene: Scene, signal?: AbortSignal) =>
    post<{ text: string; lines: string[] }>("v1/descriptions", { scene }, signal),
  check: (scene: Scene, layout?: string, image?: string, signal?: AbortSignal) =>
    post<Checks>("v1/checks", { scene, layout, image }, signal),
  place: (scene: Scene, { seed, layout, image, memory }: Omit<PictureRequest, "scene">, signal?: AbortSignal) =>
    post<{ scene: Scene; notes: string[] }>("v1/layouts", { scene, seed, layout, image, memory }, signal).then(
      withScene,
    ),
  refine: (scene: Scene, movable: readonly boolean[]) =>
    post<{ scene: Scene }>("v1/refine", { scene, movable }).then(withScene),
  picture: (wanted: PictureRequest, signal?: AbortSignal) =>
    post<PictureReply>("v1/pictures", wanted, signal).then(withScene),
  record: (png: string) => post<Recorded>("v1/records", { png }).then(withScene),
  recognise: (strokes: readonly (readonly [readonly number[], readonly number[]])[]) =>
    post<{ names: { category: string; probability: number }[] }>("v1/sketches", { strokes }),
  crops: (memory: string, category: string, scene: Scene, object: number, top: number) =>
    post<{ crops: Crop[] }>("v1/crops", { memory, category, scene, object, top }),
  search: (search: string, scene: Scene, top: number) =>
    post<{ results: SearchResult[]; notes: string[] }>("v1/search", { search, scene, top }).then(
      ({ results, notes }) => ({ results: results.map(withScene), notes }),
    ),
  /** The file and the name that the service gives it. */
  export: async (kind: ExportKind, wanted: Omit<PictureRequest, "session" | "steps">): Promise<[Blob, string]> => {
    const response = await request("v1/exports", { kind, ...wanted });
    const name = /filename="?([^";]+)"?/.exec(response.headers.get("Content-Disposition") ?? "")?.[1];
    return [await response.blob(), name ?? `scene-${kind}`];
  },
  isHealthy: async (): Promise<boolean> => {
    try {
      return (await fetch("healthz", { cache: "no-store", signal: AbortSignal.timeout(3000) })).ok;
    } catch {
      return false;
    }
  },
};
