/** Draws boxes, masks and handles with Konva. It only shows: the view around it decides what a pointer does. */

import Konva from "konva/lib/Core";
import { Circle } from "konva/lib/shapes/Circle";
import { Image as KonvaImage } from "konva/lib/shapes/Image";
import { Line } from "konva/lib/shapes/Line";
import { Rect } from "konva/lib/shapes/Rect";
import { Text } from "konva/lib/shapes/Text";

import type { Thing } from "../model/document";
import { HANDLES, handlePoint, placeLabels, type Guide } from "../model/geometry";
import { decodeMask } from "../model/mask";
import type { Box, Mask } from "../model/scene";
import { FONT, shortened, textWidth } from "../ui/text-width";

export interface Shown {
  readonly things: readonly Thing[];
  readonly names: ReadonlyMap<number, string>;
  readonly selection: readonly number[];
  readonly hovered: number | undefined;
  readonly guides: readonly Guide[];
  readonly drawn: Box | undefined;
  readonly brush: { readonly x: number; readonly y: number; readonly radius: number } | undefined;
  readonly picture: HTMLImageElement | undefined;
  /** Whether handles are shown: they belong to the tool that selects. */
  readonly handles: boolean;
}

const LABEL = 22;
const HUES = 8;

interface Colours {
  readonly ink: string;
  readonly paper: string;
  readonly line: string;
  readonly muted: string;
  readonly accent: string;
  readonly hues: readonly string[];
}

export class LayoutStage {
  private readonly stage: Konva.Stage;
  private readonly ground = new Konva.Layer({ listening: false });
  private readonly boxes = new Konva.Layer({ listening: false });
  private colours: Colours;
  private readonly masks = new WeakMap<Mask, Map<string, HTMLCanvasElement>>();
  /** Where labels were drawn, the front one last, in fractions of the canvas. */
  labels: { readonly id: number; readonly box: Box }[] = [];

  constructor(private readonly container: HTMLDivElement) {
    this.stage = new Konva.Stage({ container, width: 10, height: 10, listening: false });
    this.stage.add(this.ground, this.boxes);
    this.colours = readColours(container);
  }

  destroy(): void {
    this.stage.destroy();
  }

  /** Reads the colours again, after the theme has changed. */
  recolour(): void {
    this.colours = readColours(this.container);
  }

  resize(width: number, height: number): void {
    this.stage.size({ width, height });
  }

  /** The canvas within the stage, in pixels: boxes that reach beyond it can be seen, too. */
  get frame(): { x: number; y: number; side: number } {
    const [width, height] = [this.stage.width(), this.stage.height()];
    const side = Math.max(Math.min(width, height) - 2 * Math.max(24, Math.min(width, height) * 0.07), 40);
    return {
      x: Math.round((width - side) / 2) + 0.5,
      y: Math.round((height - side) / 2) + 0.5,
      side: Math.round(side),
    };
  }

  draw(shown: Shown): void {
    this.drawGround(shown.picture);
    this.boxes.destroyChildren();
    const boxed = shown.things.filter((thing) => thing.box);
    for (const thing of boxed) this.drawBox(thing, shown);
    this.drawLabels(boxed, shown);
    if (shown.handles)
      for (const id of shown.selection)
        this.drawHandles(boxed.find((thing) => thing.id === id)?.box, shown.selection.length === 1);
    for (const guide of shown.guides) this.drawGuide(guide);
    if (shown.drawn)
      this.boxes.add(
        new Rect({ ...this.pixels(shown.drawn), stroke: this.colours.accent, strokeWidth: 1.5, dash: [5, 4] }),
      );
    if (shown.brush) this.drawBrush(shown.brush);
    this.boxes.batchDraw();
  }

  private pixels([x0, y0, x1, y1]: Box): { x: number; y: number; width: number; height: number } {
    const { x, y, side } = this.frame;
    return { x: x + x0 * side, y: y + y0 * side, width: (x1 - x0) * side, height: (y1 - y0) * side };
  }

  private drawGround(picture: HTMLImageElement | undefined): void {
    const { x, y, side } = this.frame;
    this.ground.destroyChildren();
    this.ground.add(
      new Rect({
        x,
        y,
        width: side,
        height: side,
        fill: this.colours.paper,
        stroke: this.colours.line,
        strokeWidth: 1,
        cornerRadius: 3,
      }),
    );
    if (picture?.complete && picture.naturalWidth)
      this.ground.add(
        new KonvaImage({ image: picture, x, y, width: side, height: side, opacity: 0.55, cornerRadius: 3 }),
      );
    this.ground.batchDraw();
  }

  private hue(id: number): string {
    return this.colours.hues[id % HUES]!;
  }

  private drawBox(thing: Thing, { selection, hovered }: Shown): void {
    const isSelected = selection.includes(thing.id);
    const place = this.pixels(thing.box!);
    const colour = this.hue(thing.id);
    if (thing.mask)
      this.boxes.add(
        new KonvaImage({ ...place, image: this.maskImage(thing.mask, colour), opacity: isSelected ? 0.6 : 0.4 }),
      );
    else
      this.boxes.add(
        new Rect({
          ...place,
          fill: colour,
          opacity: isSelected ? 0.2 : hovered === thing.id ? 0.16 : 0.07,
          cornerRadius: 2,
        }),
      );
    this.boxes.add(
      new Rect({
        ...place,
        stroke: colour,
        strokeWidth: isSelected ? 2.5 : hovered === thing.id ? 2 : 1.5,
        ...(thing.pinned ? {} : { dash: [6, 4] }),
        cornerRadius: 2,
      }),
    );
  }

  private drawLabels(boxed: readonly Thing[], { names, selection }: Shown): void {
    const { x, y, side } = this.frame;
    // Those in front come first and get the corner of their box.
    const order = [...boxed].reverse();
    const texts = order.map((thing) => shortened(names.get(thing.id) ?? thing.category));
    const widths = texts.map((text) => (textWidth(text, 12, 550) + 16) / side);
    const reach: Box = [-x / side, -y / side, (this.stage.width() - x) / side, (this.stage.height() - y) / side];
    const places = placeLabels(
      order.map((thing) => thing.box!),
      widths,
      LABEL / side,
      reach,
    );
    this.labels = [];
    for (let at = order.length - 1; at >= 0; at -= 1) {
      const [lx, ly] = places[at]!;
      const { id } = order[at]!;
      const isSelected = selection.includes(id);
      const box: Box = [lx, ly, lx + widths[at]!, ly + LABEL / side];
      this.labels.push({ id, box });
      const place = this.pixels(box);
      this.boxes.add(
        new Rect({
          ...place,
          fill: isSelected ? this.hue(id) : this.colours.paper,
          stroke: this.hue(id),
          strokeWidth: 1,
          cornerRadius: 3,
        }),
      );
      this.boxes.add(
        new Text({
          ...place,
          y: place.y + 1,
          text: texts[at]!,
          align: "center",
          verticalAlign: "middle",
          fontFamily: FONT,
          fontSize: 12,
          fontStyle: "550",
          fill: isSelected ? this.colours.paper : this.colours.ink,
        }),
      );
    }
  }

  private drawHandles(box: Box | undefined, resizes: boolean): void {
    if (!box) return;
    if (!resizes) return;
    const { x, y, side } = this.frame;
    for (const handle of HANDLES) {
      const [hx, hy] = handlePoint(box, handle);
      this.boxes.add(
        new Rect({
          x: x + hx * side - 4.5,
          y: y + hy * side - 4.5,
          width: 9,
          height: 9,
          cornerRadius: 2,
          fill: this.colours.paper,
          stroke: this.colours.ink,
          strokeWidth: 1.5,
        }),
      );
    }
  }

  private drawGuide({ axis, at }: Guide): void {
    const { x, y, side } = this.frame;
    const along = (axis ? y : x) + at * side;
    const points = axis ? [x - 20, along, x + side + 20, along] : [along, y - 20, along, y + side + 20];
    this.boxes.add(new Line({ points, stroke: this.colours.accent, strokeWidth: 1, dash: [3, 3] }));
  }

  private drawBrush(brush: { x: number; y: number; radius: number }): void {
    const { x, y, side } = this.frame;
    this.boxes.add(
      new Circle({
        x: x + brush.x * side,
        y: y + brush.y * side,
        radius: brush.radius * side,
        stroke: this.colours.ink,
        strokeWidth: 1.5,
      }),
    );
  }

  private maskImage(mask: Mask, colour: string): HTMLCanvasElement {
    const byColour = this.masks.get(mask) ?? new Map<string, HTMLCanvasElement>();
    this.masks.set(mask, byColour);
    const found = byColour.get(colour);
    if (found) return found;
    const { width, height, values } = decodeMask(mask);
    const image = Object.assign(document.createElement("canvas"), { width, height });
    const context = image.getContext("2d")!;
    const pixels = context.createImageData(width, height);
    values.forEach((value, cell) => (pixels.data[4 * cell + 3] = 255 * value));
    context.putImageData(pixels, 0, 0);
    context.globalCompositeOperation = "source-in";
    context.fillStyle = colour;
    context.fillRect(0, 0, width, height);
    byColour.set(colour, image);
    return image;
  }
}

function readColours(element: Element): Colours {
  const style = getComputedStyle(element);
  const read = (name: string): string => style.getPropertyValue(`--${name}`).trim() || "gray";
  return {
    ink: read("ink"),
    paper: read("surface"),
    line: read("line-strong"),
    muted: read("muted"),
    accent: read("accent"),
    hues: Array.from({ length: HUES }, (_, number) => read(`hue-${number}`)),
  };
}
