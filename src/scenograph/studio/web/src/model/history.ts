/** One stack of everything that was edited. Documents are immutable and share what did not change, so each is kept whole. */

import type { Document } from "./document";
import type { Edit } from "./edits";

export interface Step {
  /** What was done, as the buttons and the screen reader say it. */
  readonly label: string;
  /** The document before it. */
  readonly before: Document;
  /** Edits with the same gesture, such as the moves of one drag, are one step. */
  readonly gesture: string | undefined;
}

export interface History {
  readonly past: readonly Step[];
  readonly present: Document;
  readonly future: readonly { readonly label: string; readonly after: Document }[];
}

const MOST_STEPS = 500;

export const begin = (present: Document): History => ({ past: [], present, future: [] });

/** Edits the present. An edit that changes nothing is no step. */
export function commit(history: History, label: string, edit: Edit, gesture?: string): History {
  const present = edit(history.present);
  if (present === history.present) return history;
  const last = history.past.at(-1);
  const goesOn = gesture !== undefined && last?.gesture === gesture;
  const past = goesOn
    ? history.past
    : [...history.past, { label, before: history.present, gesture }].slice(-MOST_STEPS);
  return { past, present, future: [] };
}

/** Edits the present without a step of its own: what the service adds, such as boxes, belongs to the last step. */
export function amend(history: History, edit: Edit): History {
  const present = edit(history.present);
  return present === history.present ? history : { ...history, present };
}

/** Ends a gesture: the next edit is a step of its own. */
export function settle(history: History): History {
  const last = history.past.at(-1);
  return last?.gesture === undefined
    ? history
    : { ...history, past: [...history.past.slice(0, -1), { ...last, gesture: undefined }] };
}

/** Abandons the last step if it is that of the gesture. */
export function abandon(history: History, gesture: string): History {
  const last = history.past.at(-1);
  return last?.gesture === gesture ? { ...history, past: history.past.slice(0, -1), present: last.before } : history;
}

export function undo(history: History): History {
  const last = history.past.at(-1);
  if (!last) return history;
  return {
    past: history.past.slice(0, -1),
    present: last.before,
    future: [{ label: last.label, after: history.present }, ...history.future],
  };
}

export function redo(history: History): History {
  const [first, ...future] = history.future;
  if (!first) return history;
  return {
    past: [...history.past, { label: first.label, before: history.present, gesture: undefined }],
    present: first.after,
    future,
  };
}
