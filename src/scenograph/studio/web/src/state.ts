/** What the page knows, as signals, and the few ways to change it. */

import { batch, computed, signal } from "@preact/signals";

import { EMPTY, type Document, type Link, type Thing } from "./model/document";
import { find, type Edit } from "./model/edits";
import * as stack from "./model/history";
import { MOST_OBJECTS } from "./model/scene";

export const WORKSPACES = ["graph", "layout", "sketch", "json"] as const;
export type Workspace = (typeof WORKSPACES)[number];
/** On small screens the panels beside the workspace are views, too. */
export type View = Workspace | "picture" | "objects";
export type Tool = "select" | "box" | "paint" | "erase";

export interface Notice {
  readonly id: number;
  readonly text: string;
  readonly kind: "note" | "error";
}

export const history = signal<stack.History>(stack.begin(EMPTY));
export const document_ = computed<Document>(() => history.value.present);
export const selection = signal<readonly number[]>([]);
export const selectedLink = signal<Link | undefined>(undefined);
export const view = signal<View>("graph");
export const tool = signal<Tool>("select");
/** Whether something is being dragged now: pictures are drafts then. */
export const moving = signal(false);
export const notices = signal<readonly Notice[]>([]);
/** Counts the scenes that were begun with. */
export const begun = signal(0);
/** Counts what was undone and done again. */
export const rewound = signal(0);
/** What the screen reader says next. */
export const spoken = signal("");
/** The pointer is over this object, in whichever view. */
export const hovered = signal<number | undefined>(undefined);

export const selected = computed<Thing | undefined>(() => {
  const id = selection.value.at(-1);
  return id === undefined ? undefined : find(document_.value, id);
});

/** What people call categories that they have other words for, as the service says it. */
export const words = signal<Readonly<Record<string, string>>>({});
/** What people call a category: `sky-other` is a sky. */
export const word = (category: string): string => words.value[category] ?? category;

/** What things are called: the word for the category, with a number where several have it. */
export const names = computed<ReadonlyMap<number, string>>(() => {
  const counts = new Map<string, number>();
  const called = document_.value.things.map(({ id, category }) => [id, word(category)] as const);
  for (const [, name] of called) counts.set(name, (counts.get(name) ?? 0) + 1);
  const seen = new Map<string, number>();
  return new Map(
    called.map(([id, name]) => {
      const number = (seen.get(name) ?? 0) + 1;
      seen.set(name, number);
      return [id, counts.get(name) === 1 ? name : `${name} ${number}`];
    }),
  );
});

export const nameOf = (id: number): string => names.value.get(id) ?? "object";
export const sayLink = (link: Link): string => `${nameOf(link.subject)} ${link.predicate} ${nameOf(link.object)}`;

/** Edits the document as one step, or as part of a gesture. */
export function edit(label: string, change: Edit, gesture?: string): void {
  replace(stack.commit(history.value, label, change, gesture));
  if (gesture === undefined) say(label);
}

/** Begins with another scene, by an edit that replaces this one. */
export function beginWith(label: string, change: Edit): void {
  batch(() => {
    select(undefined);
    edit(label, change);
    begun.value += 1;
  });
}

/** Adds an object by an edit, and selects it. */
export function insert(label: string, change: Edit): void {
  const { next, things } = document_.value;
  edit(label, change);
  if (document_.value.things.length > things.length) select(next);
  else notify(`A scene holds at most ${MOST_OBJECTS} objects.`);
}

/** Adds what the service found out to the last step. */
export const amend = (change: Edit): void => replace(stack.amend(history.value, change));

export function endGesture(): void {
  batch(() => {
    history.value = stack.settle(history.value);
    moving.value = false;
  });
}

export function abandonGesture(gesture: string): void {
  batch(() => {
    replace(stack.abandon(history.value, gesture));
    moving.value = false;
  });
}

export function undo(): void {
  const label = history.value.past.at(-1)?.label;
  if (label === undefined) return;
  replace(stack.undo(history.value));
  rewound.value += 1;
  say(`Undone: ${label}`);
}

export function redo(): void {
  const label = history.value.future[0]?.label;
  if (label === undefined) return;
  replace(stack.redo(history.value));
  rewound.value += 1;
  say(`Done again: ${label}`);
}

/** Begins with a document that was stored, without anything to undo. */
export const open = (present: Document): void => replace(stack.begin(present));

function replace(next: stack.History): void {
  batch(() => {
    history.value = next;
    const known = new Set(next.present.things.map((thing) => thing.id));
    if (selection.value.some((id) => !known.has(id))) selection.value = selection.value.filter((id) => known.has(id));
    const link = selectedLink.value;
    if (
      link &&
      !next.present.links.some(
        (one) => one.subject === link.subject && one.object === link.object && one.predicate === link.predicate,
      )
    )
      selectedLink.value = undefined;
  });
}

export function select(id: number | undefined, extend = false): void {
  batch(() => {
    selectedLink.value = undefined;
    if (id === undefined) selection.value = [];
    else if (!extend) selection.value = [id];
    else
      selection.value = selection.value.includes(id)
        ? selection.value.filter((one) => one !== id)
        : [...selection.value, id];
  });
}

export function selectLink(link: Link): void {
  batch(() => {
    selection.value = [];
    selectedLink.value = link;
  });
}

let lastNotice = 0;
const SHOWN_FOR = 7000;

export function notify(text: string, kind: Notice["kind"] = "note"): void {
  lastNotice += 1;
  const id = lastNotice;
  notices.value = [...notices.value.filter((notice) => notice.text !== text), { id, text, kind }].slice(-3);
  setTimeout(() => dismiss(id), SHOWN_FOR);
}

export function dismiss(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}

export function say(text: string): void {
  spoken.value = text;
}
