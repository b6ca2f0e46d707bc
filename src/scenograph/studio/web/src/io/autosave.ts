/** The scene survives closing the page. */

import { effect } from "@preact/signals";
import { get, set } from "idb-keyval";

import { EMPTY, toScene, type Document } from "../model/document";
import { readScene } from "../model/scene";
import { document_ } from "../state";

const KEY = "scenograph-document";
const VERSION = 1;
const PAUSE = 250;

/** What was stored; undefined on a first visit, if the browser keeps nothing, or if what it kept is no document. */
export async function stored(): Promise<Document | undefined> {
  try {
    const found = await get<{ version: number; document: Document }>(KEY);
    if (found?.version !== VERSION) return undefined;
    readScene(toScene(found.document));
    return { ...EMPTY, ...found.document };
  } catch {
    return undefined;
  }
}

/** Stores every change, also as the page goes away. */
export function keepStored(): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let saved = document_.peek();
  const save = () => {
    clearTimeout(timer);
    if (saved === document_.peek()) return;
    saved = document_.peek();
    void set(KEY, { version: VERSION, document: saved }).catch(() => undefined);
  };
  effect(() => {
    void document_.value;
    clearTimeout(timer);
    timer = setTimeout(save, PAUSE);
  });
  document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && save());
  window.addEventListener("pagehide", save);
}
