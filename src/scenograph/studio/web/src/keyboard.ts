/** Shortcuts: one table for what they do and for the page that lists them. */

import { signal } from "@preact/signals";

import { saveJson, chooseFile } from "./io/files";
import { moveBoxes, raise } from "./model/edits";
import { arrow } from "./model/keys";
import { edit, endGesture, nameOf, redo, select, selection, tool, undo, view, type Tool, type View } from "./state";
import { placeAgain } from "./live";
import { removeSelected } from "./views/graph";
import { grow } from "./views/layout";
import { shuffle, toggleLock } from "./views/picture";
import { duplicateSelected, togglePin } from "./panels/objects";

export interface Shortcut {
  readonly keys: readonly string[];
  /** As they are written on the page of shortcuts. */
  readonly shown: string;
  readonly does: string;
  readonly group: "Scene" | "Objects" | "Layout" | "Views";
  readonly run: (event: KeyboardEvent) => void;
}

export const shortcutsOpen = signal(false);
const SINGLE = "scenograph-single-keys";
/** Single letters can be switched off: speech input may utter them. */
export const singleKeys = signal(read());

function read(): boolean {
  try {
    return localStorage.getItem(SINGLE) !== "off";
  } catch {
    return true;
  }
}

export function setSingleKeys(on: boolean): void {
  singleKeys.value = on;
  try {
    localStorage.setItem(SINGLE, on ? "on" : "off");
  } catch {
    // It holds until the page is closed.
  }
}

const focus = (selector: string) => () => document.querySelector<HTMLElement>(selector)?.focus();
const go = (to: View) => () => (view.value = to);
const use = (wanted: Tool) => () => {
  view.value = "layout";
  tool.value = wanted;
};
const eachSelected = (label: string, by: number) => () =>
  selection.value.forEach((id) => edit(`${label} ${nameOf(id)}`, raise(id, by)));

export const SHORTCUTS: readonly Shortcut[] = [
  { keys: ["mod+z"], shown: "Ctrl Z", does: "Undo", group: "Scene", run: undo },
  { keys: ["mod+shift+z", "mod+y"], shown: "Ctrl Shift Z", does: "Redo", group: "Scene", run: redo },
  { keys: ["mod+s"], shown: "Ctrl S", does: "Save the scene as JSON", group: "Scene", run: saveJson },
  { keys: ["mod+o"], shown: "Ctrl O", does: "Open a scene or a picture", group: "Scene", run: chooseFile },
  { keys: ["/"], shown: "/", does: "Write the scene as a sentence", group: "Scene", run: focus("#sentence") },
  { keys: ["s"], shown: "S", does: "Another seed", group: "Scene", run: shuffle },
  { keys: ["l"], shown: "L", does: "Lock or unlock the seed", group: "Scene", run: toggleLock },
  { keys: ["?"], shown: "?", does: "Show these shortcuts", group: "Scene", run: () => (shortcutsOpen.value = true) },
  {
    keys: ["n"],
    shown: "N",
    does: "Add an object",
    group: "Objects",
    run: focus(".graph .toolbar input, .objects > .combobox input"),
  },
  {
    keys: ["r"],
    shown: "R",
    does: "Relate the selected object to another",
    group: "Objects",
    run: () => (
      (view.value = window.innerWidth < 900 ? "objects" : view.value),
      requestAnimationFrame(focus("#relate input"))
    ),
  },
  {
    keys: ["delete", "backspace"],
    shown: "Delete",
    does: "Remove what is selected",
    group: "Objects",
    run: removeSelected,
  },
  { keys: ["mod+d"], shown: "Ctrl D", does: "Duplicate", group: "Objects", run: duplicateSelected },
  { keys: ["]"], shown: "]", does: "Bring forward", group: "Objects", run: eachSelected("Bring forward", 1) },
  { keys: ["["], shown: "[", does: "Send back", group: "Objects", run: eachSelected("Send back", -1) },
  { keys: ["p"], shown: "P", does: "Pin the box, or unpin it", group: "Objects", run: togglePin },
  { keys: ["escape"], shown: "Esc", does: "Select nothing", group: "Objects", run: () => select(undefined) },
  { keys: ["v"], shown: "V", does: "Select and move boxes", group: "Layout", run: use("select") },
  { keys: ["b"], shown: "B", does: "Draw a box", group: "Layout", run: use("box") },
  { keys: ["m"], shown: "M", does: "Paint the shape of an object", group: "Layout", run: use("paint") },
  { keys: ["e"], shown: "E", does: "Erase from the shape", group: "Layout", run: use("erase") },
  { keys: ["a"], shown: "A", does: "Place again what is not pinned", group: "Layout", run: placeAgain },
  { keys: ["1"], shown: "1", does: "Graph", group: "Views", run: go("graph") },
  { keys: ["2"], shown: "2", does: "Layout", group: "Views", run: go("layout") },
  { keys: ["3"], shown: "3", does: "Sketch", group: "Views", run: go("sketch") },
  { keys: ["4"], shown: "4", does: "JSON", group: "Views", run: go("json") },
];

/** What is done with the pointer or with keys that depend on where the focus is. */
export const GESTURES: readonly { readonly shown: string; readonly does: string; readonly group: Shortcut["group"] }[] =
  [
    { shown: "Arrows", does: "Move the selected boxes, or the node", group: "Layout" },
    { shown: "Shift arrows", does: "Move farther", group: "Layout" },
    { shown: "Alt arrows", does: "Resize the box", group: "Layout" },
    { shown: "Click again", does: "Select what lies behind", group: "Layout" },
    { shown: "Alt drag", does: "Move without snapping", group: "Layout" },
    { shown: "Alt ↑ ↓", does: "Bring forward, send back, in the list", group: "Objects" },
    { shown: "Shift click", does: "Select several", group: "Objects" },
  ];

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

function nameOfKey(event: KeyboardEvent): string {
  const mod = event.ctrlKey || event.metaKey ? "mod+" : "";
  const key = event.key.toLowerCase();
  return `${mod}${mod && event.shiftKey ? "shift+" : ""}${key}`;
}

export function followKeyboard(): void {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
    const name = nameOfKey(event);
    const typing = isTyping(event.target);
    // While text is typed, its own undo counts, and letters are letters.
    if (typing && !["mod+s", "mod+o"].includes(name)) return;
    if (!typing && nudge(event)) return;
    if (name.length === 1 && (!singleKeys.value || event.altKey)) return;
    const found = SHORTCUTS.find(({ keys }) => keys.includes(name));
    if (!found) return;
    event.preventDefault();
    found.run(event);
  });
  document.addEventListener("keyup", (event) => arrow(event.key, 1) && !isTyping(event.target) && endGesture());
}

const STEP = 0.01;
const LEAP = 0.05;

function nudge(event: KeyboardEvent): boolean {
  const step = arrow(event.key, event.shiftKey ? LEAP : STEP);
  const element = event.target as Element;
  if (
    !step ||
    event.ctrlKey ||
    event.metaKey ||
    !selection.value.length ||
    element.closest('[role="menu"], [role="tablist"]')
  )
    return false;
  event.preventDefault();
  const called = selection.value.map(nameOf).join(", ");
  if (event.altKey) edit(`Resize ${called}`, grow(selection.value, ...step), "keys resize");
  else edit(`Move ${called}`, moveBoxes(selection.value, ...step), "keys move");
  return true;
}
