/** What follows from the scene: boxes, checks, its sentence and its picture, asked of the service as the scene changes. */

import { batch, computed, effect, signal, untracked } from "@preact/signals";

import {
  ServiceError,
  Unreachable,
  api,
  type Checks,
  type ImageModel,
  type Models,
  type PictureReply,
  type Vocabulary,
} from "./api";
import type { Example } from "./examples";
import { replaceScene, toScene, unpinned, type Document } from "./model/document";
import { adoptBoxes, configure, moveTo, unplace } from "./model/edits";
import { Newest } from "./model/newest";
import type { Box, Scene } from "./model/scene";
import { amend, beginWith, document_, edit, moving, notify, select, word, words } from "./state";

export interface Picture {
  readonly url: string;
  readonly blob: Blob;
  readonly document: Document;
  readonly seed: number;
  /** Whether it was drawn with fewer steps, or smaller. */
  readonly draft: boolean;
  readonly milliseconds: number;
  readonly notes: readonly string[];
}

export const models = signal<Models | undefined>(undefined);
/** The names that each image model knows, the first model's first. */
const vocabularies = signal<readonly Vocabulary[]>([]);
export const sentence = signal("");
export const picture = signal<Picture | undefined>(undefined);
/** Pictures that were finished, the newest first. */
export const album = signal<readonly Picture[]>([]);
export const variants = signal<readonly Picture[]>([]);
export const drawing = signal(false);
export const problem = signal<{ readonly text: string; readonly object?: number } | undefined>(undefined);
export const away = signal(false);
/** Whether the picture shows the scene as it is, as well as the model can. */
export const isCurrent = computed(() => {
  const found = picture.value;
  return found !== undefined && !found.draft && isShown(found, document_.value);
});

/** A picture that takes longer is drawn with less care while something moves. */
const QUICK = 150;
const REST = 350;
const ALBUM = 24;
const VARIANTS = 4;
/** `crypto.randomUUID` is missing where the page comes from another machine without TLS. */
const session = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
  byte.toString(16).padStart(2, "0"),
).join("");

/** The names of the chosen image model, or of the first one that knows those of the scene. */
export const vocabulary = computed<Vocabulary | undefined>(() => {
  const { things, settings } = document_.value;
  if (settings.image) return vocabularies.value.find(({ image }) => image === settings.image);
  const knows = ({ categories, synonyms = {} }: Vocabulary) =>
    things.every(({ category }) => categories.includes(category) || Object.hasOwn(synonyms, category));
  return vocabularies.value.find(knows) ?? vocabularies.value[0];
});

/** The names of things to choose from, in the words of people. */
export const kinds = computed<readonly string[]>(() => (vocabulary.value?.categories ?? []).map(word));
/** The category that a word stands for, if people call one so. */
export const categoryOf = (name: string): string =>
  vocabulary.value?.categories.find((category) => word(category) === name) ?? name;

export const imageModel = computed<ImageModel | undefined>(() =>
  models.value?.image.find(({ id }) => id === vocabulary.value?.image),
);

const scene = computed(() => toScene(document_.value));
const graphKey = computed(() =>
  JSON.stringify([scene.value.objects.map(({ category }) => category), scene.value.relationships]),
);
const checked = signal<{ readonly graph: string; readonly found: Checks } | undefined>(undefined);
/** What the service found in the scene. It goes by numbers, and so counts only while objects and relations are those. */
export const checks = computed(() => (checked.value?.graph === graphKey.value ? checked.value.found : undefined));
/** What the picture depends on. Edits that leave it as it is, such as moving a node, draw nothing anew. */
const sceneKey = computed(() => JSON.stringify(scene.value));
const settingsKey = computed(() => JSON.stringify(document_.value.settings));

/** Starts to follow the scene. */
export function follow(): void {
  void connect();
  effect(() => {
    void [sceneKey.value, settingsKey.value, moving.value];
    if (!away.value && models.value) untracked(update);
  });
}

function update(): void {
  if (forgetModels()) return;
  const { things } = document_.value;
  if (!things.length) return clear();
  later("check", 120, () => checking.push(scene.peek()));
  later("describe", 250, () => describing.push(scene.peek()));
  if (things.some((thing) => !thing.box)) later("place", 60, () => placing.push(document_.peek()));
  else draw(moving.value);
}

/** Leaves out models that this service does not offer, such as those of a link; says whether there were any. */
function forgetModels(): boolean {
  const { layout, image, memory } = document_.peek().settings;
  const known = (offered: readonly { readonly id: string }[], id: string | undefined) =>
    offered.some((one) => one.id === id) ? id : undefined;
  const offered = models.peek()!;
  const left = {
    layout: known(offered.layout, layout),
    image: known(offered.image, image),
    memory: known(offered.memory, memory),
  };
  if (left.layout === layout && left.image === image && left.memory === memory) return false;
  notify("The scene names models that are not offered here; others take their place.");
  amend(configure(left));
  return true;
}

function draw(isMoving: boolean): void {
  const known = album.peek().find((one) => isShown(one, document_.peek()));
  if (known) {
    // An undo shows at once what was there before.
    clearTimeout(timers.get("rest"));
    picturing.cancel();
    return show(known);
  }
  const quick = (picture.peek()?.milliseconds ?? 0) <= QUICK;
  if (quick || !isMoving)
    later("rest", isMoving ? 0 : 30, () => picturing.push({ document: document_.peek(), draft: false }, !isMoving));
  else {
    picturing.push({ document: document_.peek(), draft: true });
    later("rest", REST, () => moving.peek() || picturing.push({ document: document_.peek(), draft: false }, true));
  }
}

function clear(): void {
  for (const timer of timers.values()) clearTimeout(timer);
  for (const work of [checking, describing, placing, picturing]) work.cancel();
  batch(() => {
    checked.value = undefined;
    sentence.value = "";
    picture.value = undefined;
    problem.value = undefined;
    variants.value = [];
    drawing.value = false;
  });
}

const timers = new Map<string, ReturnType<typeof setTimeout>>();

function later(name: string, milliseconds: number, run: () => void): void {
  clearTimeout(timers.get(name));
  timers.set(name, setTimeout(run, milliseconds));
}

/** Runs work with the service; what fails because it is away is done again when it is back. */
async function guarded(work: () => Promise<void>, refused: (error: ServiceError) => void): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof Unreachable) lost();
    else if (error instanceof ServiceError) {
      if (isBusy(error)) retry(error);
      else if (error.code !== "replaced") refused(error);
    } else if (!(error instanceof DOMException)) {
      // Such as a scene that the page cannot read.
      refused(new ServiceError(0, "unexpected", error instanceof Error ? error.message : String(error), null, null));
    }
  }
}

const isBusy = ({ status }: ServiceError): boolean => status === 429 || status === 503;

/** The service has too much to do: ask again when it says so. */
function retry(error: ServiceError): void {
  later("retry", (error.retryAfter ?? 1) * 1000, () => {
    if (document_.peek().things.some((thing) => !thing.box)) placing.push(document_.peek());
    else if (document_.peek().things.length) picturing.push({ document: document_.peek(), draft: false });
  });
}

const checking = new Newest<Scene>((wanted, signal) =>
  guarded(
    async () => {
      const { layout, image } = document_.peek().settings;
      const found = await api.check(wanted, layout, image, signal);
      if (wanted === scene.peek()) checked.value = { graph: graphKey.peek(), found };
    },
    () => {
      checked.value = undefined;
    },
  ),
);

const describing = new Newest<Scene>((wanted, signal) =>
  guarded(
    async () => {
      sentence.value = (await api.describe(wanted, signal)).text;
    },
    () => undefined,
  ),
);

const placing = new Newest<Document>((wanted, signal) =>
  guarded(async () => {
    const { settings } = wanted;
    const placed = await api.place(toScene(wanted), settings, signal);
    // Objects that came or went meanwhile are placed by the next request.
    const boxes = new Map(
      wanted.things.flatMap((thing, at) => {
        const { box, mask } = placed.scene.objects[at] ?? {};
        return box ? [[thing.id, { box, mask }] as const] : [];
      }),
    );
    problem.value = undefined;
    amend(adoptBoxes(boxes));
  }, refuse),
);

const picturing = new Newest<{ document: Document; draft: boolean }>((wanted, signal) => {
  drawing.value = true;
  return guarded(async () => {
    const found = await render(wanted.document, wanted.draft, wanted.document.settings.seed, session, signal);
    show(found);
  }, refuse).finally(() => {
    drawing.value = false;
  });
});

async function render(
  document: Document,
  draft: boolean,
  seed: number,
  key: string,
  signal?: AbortSignal,
): Promise<Picture> {
  const { layout, image, memory, size } = document.settings;
  const model = imageModel.peek();
  const rough = draft && model;
  const started = performance.now();
  const reply: PictureReply = await api.picture(
    {
      scene: toScene(document),
      seed,
      layout,
      image,
      memory,
      size: rough && model.sizes.length ? Math.min(...model.sizes) : size,
      steps: rough && model.steps ? Math.max(1, Math.round(model.steps / 4)) : undefined,
      session: key,
    },
    signal,
  );
  const bytes = Uint8Array.from(atob(reply.picture), (one) => one.charCodeAt(0));
  const blob = new Blob([bytes], { type: "image/png" });
  return {
    url: URL.createObjectURL(blob),
    blob,
    document,
    seed,
    draft,
    milliseconds: performance.now() - started,
    notes: reply.notes,
  };
}

function show(found: Picture): void {
  batch(() => {
    const before = picture.value;
    // The time of a draft says nothing about that of a finished picture.
    picture.value = found.draft && before ? { ...found, milliseconds: before.milliseconds } : found;
    problem.value = undefined;
    if (found.draft) return;
    const kept = [
      found,
      ...album.value.filter((one) => one.seed !== found.seed || toKey(one.document) !== toKey(found.document)),
    ];
    album.value = kept.slice(0, ALBUM);
    if (variants.value.some((one) => toKey(one.document) !== toKey(found.document))) variants.value = [];
  });
  release();
}

const toKey = (document: Document): string =>
  JSON.stringify([
    toScene(document),
    document.settings.layout,
    document.settings.image,
    document.settings.memory,
    document.settings.size,
  ]);
const isShown = ({ seed, document }: Picture, wanted: Document): boolean =>
  seed === wanted.settings.seed && toKey(document) === toKey(wanted);

const shown = new Set<string>();

/** Frees the memory of pictures that are nowhere to be seen. */
function release(): void {
  const used = new Set([picture.value, ...album.value, ...variants.value].map((one) => one?.url));
  for (const url of used) if (url) shown.add(url);
  for (const url of shown) {
    if (used.has(url)) continue;
    // An image element may still be loading it.
    setTimeout(() => URL.revokeObjectURL(url), 2000);
    shown.delete(url);
  }
}

function refuse(error: ServiceError): void {
  const index = error.index;
  const id =
    index === undefined || !error.where?.startsWith("objects") ? undefined : document_.peek().things[index]?.id;
  problem.value = { text: error.message, ...(id !== undefined && { object: id }) };
}

/** Draws the scene with the next seeds, for a strip to choose from. */
export async function drawVariants(): Promise<void> {
  const document = document_.peek();
  if (!document.things.length || document.things.some((thing) => !thing.box)) return;
  variants.value = [];
  await guarded(
    async () => {
      for (let number = 1; number <= VARIANTS; number += 1) {
        const found = await render(document, false, document.settings.seed + number, `${session}-variants`);
        if (toKey(document) !== toKey(document_.peek())) return;
        variants.value = [...variants.value, found];
      }
    },
    (error) => notify(error.message, "error"),
  );
}

/** Places the boxes again that the user did not choose. */
export function placeAgain(): void {
  const { things } = document_.value;
  if (!things.length) notify("There are no objects to place.");
  else if (things.every((thing) => thing.pinned)) notify("All boxes are pinned: unpin an object to place it again.");
  else
    edit("Place again", (document) =>
      configure({ seed: document.settings.locked ? document.settings.seed : freshSeed() })(unplace(document)),
    );
}

/** Begins with another scene, whatever models that one needs. */
export function begin({ title, scene }: Example): void {
  beginWith(title, (document) => {
    const seed = document.settings.locked ? document.settings.seed : freshSeed();
    return configure({ seed, layout: undefined, image: undefined, memory: undefined, size: undefined })(
      unpinned(replaceScene(document, scene)),
    );
  });
}

export const freshSeed = (): number => Math.floor(Math.random() * 1_000_000);

/** Moves boxes as little as needed so that the relations hold; pinned ones stay if that is possible. */
export async function arrangeBoxes(): Promise<void> {
  const document = document_.peek();
  await guarded(
    async () => {
      const refined = await api
        .refine(
          toScene(document),
          document.things.map((thing) => !thing.pinned),
        )
        .catch((error: unknown) => {
          if (error instanceof ServiceError && error.status === 400)
            return api.refine(
              toScene(document),
              document.things.map(() => true),
            );
          throw error;
        });
      const boxes = new Map<number, Box>(
        document.things.flatMap((thing, at) => {
          const box = refined.scene.objects[at]?.box;
          return box ? [[thing.id, box] as const] : [];
        }),
      );
      edit("Arrange boxes", moveTo(boxes));
    },
    (error) => {
      notify(error.message, "error");
      if (error.index !== undefined && error.where?.startsWith("objects")) select(document.things[error.index]?.id);
    },
  );
}

let waiting = false;

function lost(): void {
  away.value = true;
  drawing.value = false;
  if (!waiting) void comeBack();
}

/** Asks for the service, less and less often, until it answers. */
async function comeBack(): Promise<void> {
  waiting = true;
  for (let pause = 500; !(await api.isHealthy()); pause = Math.min(pause * 1.6, 8000))
    await new Promise((resolve) => setTimeout(resolve, pause));
  waiting = false;
  await connect();
}

async function connect(): Promise<void> {
  try {
    const found = await api.models();
    const first = await api.vocabulary();
    const others = found.image.filter(({ id }) => id !== first.image);
    batch(() => {
      if (away.value) notify("The service is back.");
      models.value = found;
      vocabularies.value = [first];
      words.value = { ...first.spoken };
      away.value = false;
    });
    for (const { id } of others) {
      const more = await api.vocabulary(undefined, id);
      batch(() => {
        vocabularies.value = [...vocabularies.value, more];
        words.value = { ...more.spoken, ...words.value };
      });
    }
  } catch (error) {
    if (error instanceof Unreachable) lost();
    else if (error instanceof ServiceError && isBusy(error))
      later("connect", (error.retryAfter ?? 1) * 1000, () => void connect());
    else notify(error instanceof Error ? error.message : String(error), "error");
  }
}
