/** Files that leave the page. */

import { ServiceError, api, type ExportKind } from "../api";
import { imageModel, picture } from "../live";
import type { MenuItem } from "../ui/menu";
import { toScene } from "../model/document";
import { document_, notify } from "../state";
import { download, saveJson } from "./files";
import { toFragment } from "./share";

export function savePicture(): void {
  const found = picture.value;
  if (!found || found.draft) return notify("There is no finished picture yet.");
  download(found.blob, `scene-seed${found.seed}.png`);
}

async function exportAs(kind: ExportKind): Promise<void> {
  const { layout, image, memory, seed, size } = document_.value.settings;
  try {
    download(...(await api.export(kind, { scene: toScene(document_.value), layout, image, memory, seed, size })));
  } catch (error) {
    notify(
      error instanceof ServiceError ? error.message : "The service cannot be reached; try again when it is back.",
      "error",
    );
  }
}

export async function share(): Promise<void> {
  const fragment = await toFragment(document_.value);
  history.replaceState(null, "", fragment);
  try {
    await navigator.clipboard.writeText(location.href);
    notify("The link is copied. It holds the whole scene; nothing is stored anywhere.");
  } catch {
    notify("The link is in the address bar. It holds the whole scene; nothing is stored anywhere.");
  }
}

export function exportItems(): MenuItem[] {
  const layered = imageModel.value?.layers ?? false;
  const without = layered ? {} : { disabled: true };
  return [
    { label: "Picture", hint: "PNG that re-opens", run: savePicture },
    { label: "Scene", hint: "JSON", run: saveJson },
    {
      label: "Layers",
      hint: layered ? "zip of PNG" : "not with this model",
      ...without,
      run: () => void exportAs("layers"),
    },
    {
      label: "OpenRaster",
      hint: layered ? "for Krita, GIMP" : "not with this model",
      ...without,
      run: () => void exportAs("openraster"),
    },
    { label: "Graph", hint: "SVG", run: () => void exportAs("graph-svg") },
    { label: "Layout", hint: "SVG", run: () => void exportAs("layout-svg") },
    { label: "Annotations", hint: "COCO", run: () => void exportAs("coco") },
  ];
}
