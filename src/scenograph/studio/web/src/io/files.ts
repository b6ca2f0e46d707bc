/** Opening and saving files. */

import { api } from "../api";
import { readSettings, replaceScene, toScene } from "../model/document";
import { all, configure } from "../model/edits";
import { JsonError, lineAndColumn, parseScene, printScene } from "../model/json";
import { beginWith, document_, notify } from "../state";

const LARGEST = 8 * 2 ** 20;
const PNG = [0x89, 0x50, 0x4e, 0x47];

export function download(content: Blob, name: string): void {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(content), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export function saveJson(): void {
  download(new Blob([printScene(toScene(document_.value))], { type: "application/json" }), "scene.json");
}

/** Opens a scene file, or a picture that records its scene. */
export async function openFile(file: File): Promise<void> {
  if (file.size > LARGEST) return notify(`${file.name} is larger than 8 MB.`, "error");
  const bytes = new Uint8Array(await file.arrayBuffer());
  try {
    if (PNG.every((byte, at) => bytes[at] === byte)) await openPicture(bytes, file.name);
    else openJson(textOf(bytes), file.name);
  } catch (error) {
    notify(`${file.name}: ${error instanceof Error ? error.message : String(error)}`, "error");
  }
}

/** The text of a scene file. Throws for another kind of file, of whose text nobody wants to know what is wrong. */
function textOf(bytes: Uint8Array): string {
  const text = new TextDecoder().decode(bytes);
  if (!/^\s*[[{]/.test(text)) throw new Error("neither a scene in JSON nor a PNG that Scenograph made");
  return text;
}

function openJson(text: string, name: string): void {
  try {
    const scene = parseScene(text);
    beginWith(`Open ${name}`, (document) => replaceScene(document, scene));
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    const [line, column] = lineAndColumn(text, error.place.start);
    throw new Error(`line ${line}, column ${column}: ${error.message}`);
  }
}

async function openPicture(bytes: Uint8Array, name: string): Promise<void> {
  const record = await api.record(toBase64(bytes));
  beginWith(
    `Open ${name}`,
    all(
      (document) => replaceScene(document, record.scene),
      configure(readSettings({ ...record, size: record.options.size })),
    ),
  );
  for (const note of record.notes) notify(note);
}

export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

export function chooseFile(): void {
  const input = Object.assign(document.createElement("input"), {
    type: "file",
    accept: ".json,.png,application/json,image/png",
  });
  input.addEventListener("change", () => input.files?.[0] && void openFile(input.files[0]));
  input.click();
}
