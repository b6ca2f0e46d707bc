/** Widths of texts in the page's font, as the drawings need them. */

let context: CanvasRenderingContext2D | null | undefined;
const known = new Map<string, number>();

export const FONT = '"Inter Variable", system-ui, sans-serif';

export function textWidth(text: string, size: number, weight = 500): number {
  const key = `${size}/${weight}/${text}`;
  const found = known.get(key);
  if (found !== undefined) return found;
  context ??= document.createElement("canvas").getContext("2d");
  if (!context) return text.length * size * 0.56;
  context.font = `${weight} ${size}px ${FONT}`;
  const width = context.measureText(text).width;
  known.set(key, width);
  return width;
}

const LONGEST = 36;
const END = 8;

/** A text without its middle, if it is longer than a drawing has room for. Numbers that tell names apart stand at the end. */
export function shortened(text: string): string {
  const letters = [...text];
  if (letters.length <= LONGEST) return text;
  return `${letters.slice(0, LONGEST - END - 1).join("")}…${letters.slice(-END).join("")}`;
}

/** Measures anew, once the font has come. */
export const forgetWidths = (): void => known.clear();
