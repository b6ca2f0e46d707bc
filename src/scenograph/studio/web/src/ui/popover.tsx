import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { clamp } from "../model/geometry";

interface PopoverProps {
  /** Where its upper edge has its middle, in pixels of the drawing that it stands over. */
  at: readonly [x: number, y: number];
  /** The drawing's width and height. */
  within: readonly [width: number, height: number];
  children: ComponentChildren;
}

/** Half its width, and its height. */
const [HALF, HEIGHT] = [120, 110];

/** What stands over a drawing. In its lower half, lists of names open upwards: below, they would be cut off. */
export function Popover({ at: [x, y], within: [width, height], children }: PopoverProps) {
  const element = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const { style } = element.current!;
    style.left = `${clamp(x, HALF, Math.max(width - HALF, HALF))}px`;
    style.top = `${clamp(y, 0, Math.max(height - HEIGHT, 0))}px`;
  });
  return (
    <div class={`popover ${y > height / 2 ? "low" : ""}`} ref={element}>
      {children}
    </div>
  );
}
