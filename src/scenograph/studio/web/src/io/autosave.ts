/** The scene survives closing the page. */

import { effect } from "@preact/signals";
import { delMany, entries, set } from "idb-keyval";

import { EMPTY, toScene, type Document } from "../model/document";
import { bounded, readScene } from "../model/scene";
import { document_ } from "../state";

const PREFIX = "scenograph-document-";
const TAB = "scenograph-tab";
const VERSION = 2;
const PAUSE = 250;
/** Tabs whose scenes are kept, the last ones that were edited. */
const MOST_TABS = 8;

interface Kept {
  readonly version: number;
  readonly saved: number;
  readonly document: Document;
}

/** Milliseconds for which a page that is loaded again may still be there. */
const GOING = 500;

/** Where this tab keeps its scene, so that no other tab overwrites it. It stays the same when the page is loaded again. */
let key = "";

/** Gives this tab a name, unless it has one that is not another tab's, too; returns where its scene may be kept. */
async function nameTab(): Promise<string> {
  const fresh = `${Date.now()}-${Math.random()}`;
  try {
    const known = sessionStorage.getItem(TAB) ?? fresh;
    // A duplicate of a tab begins with all that the tab's session holds.
    const own = (await hold(PREFIX + known)) ? known : fresh;
    if (own !== known) void hold(PREFIX + own);
    sessionStorage.setItem(TAB, own);
    key = PREFIX + own;
    return PREFIX + known;
  } catch {
    return (key = PREFIX + fresh);
  }
}

/** Holds a name as long as the page is open; false if another page holds it. Pages from elsewhere without TLS cannot. */
function hold(name: string): Promise<boolean> {
  if (!navigator.locks) return Promise.resolve(true);
  return new Promise((resolve) => {
    const untilClosed = () => (resolve(true), new Promise<never>(() => undefined));
    navigator.locks.request(name, { signal: AbortSignal.timeout(GOING) }, untilClosed).catch(() => resolve(false));
  });
}

/**
 * What this tab kept, a duplicate what the first one did, or else what any did last; undefined on a first visit, and if
 * the browser keeps no documents.
 */
export async function stored(): Promise<Document | undefined> {
  const kept = await nameTab();
  try {
    const found = (await entries<string, Kept>())
      .filter(([name, kept]) => name.startsWith(PREFIX) && kept.version === VERSION)
      .sort(([, one], [, other]) => other.saved - one.saved);
    void delMany(found.slice(MOST_TABS).map(([name]) => name)).catch(() => undefined);
    const document = (found.find(([name]) => name === kept) ?? found[0])?.[1].document;
    if (!document) return undefined;
    bounded(readScene(toScene(document)));
    return { ...EMPTY, ...document };
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
