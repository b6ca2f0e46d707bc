/** The scene survives closing the page. */

import { effect } from "@preact/signals";
import { delMany, entries, set } from "idb-keyval";

import { EMPTY, toScene, type Document } from "../model/document";
import { bounded, readScene } from "../model/scene";
import { document_ } from "../state";

const PREFIX = "scenograph-document-";
const VERSION = 2;
const PAUSE = 250;
/** Tabs whose scenes are kept, the last ones that were edited. */
const MOST_TABS = 8;

interface Kept {
  readonly version: number;
  readonly saved: number;
  readonly document: Document;
}

/** Where this tab keeps its scene, so that no other tab overwrites it. It stays the same when the page is loaded again. */
const key = PREFIX + tab();

function tab(): string {
  const fresh = `${Date.now()}-${Math.random()}`;
  try {
    const known = sessionStorage.getItem("scenograph-tab") ?? fresh;
    sessionStorage.setItem("scenograph-tab", known);
    return known;
  } catch {
    return fresh;
  }
}

/** What this tab kept, or else what any did last; undefined on a first visit, and if the browser keeps no documents. */
export async function stored(): Promise<Document | undefined> {
  try {
    const found = (await entries<string, Kept>())
      .filter(([name, kept]) => name.startsWith(PREFIX) && kept.version === VERSION)
      .sort(([, one], [, other]) => other.saved - one.saved);
    void delMany(found.slice(MOST_TABS).map(([name]) => name)).catch(() => undefined);
    const kept = (found.find(([name]) => name === key) ?? found[0])?.[1];
    if (!kept) return undefined;
    bounded(readScene(toScene(kept.document)));
    return { ...EMPTY, ...kept.document };
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
    void set(key, { version: VERSION, saved: Date.now(), document: saved }).catch(() => undefined);
  };
  effect(() => {
    void document_.value;
    clearTimeout(timer);
    timer = setTimeout(save, PAUSE);
  });
  document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && save());
  window.addEventListener("pagehide", save);
}
