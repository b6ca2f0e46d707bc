/** A scene as the fragment of a link, which browsers send to no server. */

import type { Document, Settings } from "../model/document";
import { readSettings, replaceScene, toScene } from "../model/document";
import { all, configure } from "../model/edits";
import { bounded, isRecord, readScene, type Scene } from "../model/scene";

const PREFIX = "#scene=";
/** Links can be hostile: a short text may stand for gigabytes. */
const LARGEST = 4 * 2 ** 20;

export async function toFragment(document: Document): Promise<string> {
  const { seed, layout, image, memory, size } = document.settings;
  const content = JSON.stringify({ scene: toScene(document), settings: { seed, layout, image, memory, size } });
  const packed = new Blob([content]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  const bytes = new Uint8Array(await new Response(packed).arrayBuffer());
  return (
    PREFIX +
    btoa(Array.from(bytes, (one) => String.fromCharCode(one)).join(""))
      .replaceAll("+", "-")
      .replaceAll("/", "_")
      .replace(/=+$/, "")
  );
}

/** The edit that opens a link; undefined if the fragment is none. Throws if it is damaged. */
export async function fromFragment(fragment: string): Promise<((document: Document) => Document) | undefined> {
  if (!fragment.startsWith(PREFIX)) return undefined;
  try {
    const { scene, settings } = read(await unpack(fragment.slice(PREFIX.length)));
    return all((document) => replaceScene(document, scene), configure(settings));
  } catch {
    throw new Error("This link does not hold a whole scene: it may have been cut off.");
  }
}

async function unpack(text: string): Promise<string> {
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  const decoder = new TextDecoder();
  let content = "";
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    content += decoder.decode(value, { stream: true });
    if (content.length > LARGEST) throw new Error("too large");
  }
  return content + decoder.decode();
}

function read(content: string): { scene: Scene; settings: Partial<Settings> } {
  const value = JSON.parse(content) as unknown;
  if (!isRecord(value)) throw new Error("no scene");
  return {
    scene: bounded(readScene(value.scene)),
    settings: readSettings(isRecord(value.settings) ? value.settings : {}),
  };
}
