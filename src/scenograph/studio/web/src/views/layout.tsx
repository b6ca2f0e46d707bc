/** The layout: boxes to move, resize, draw and paint. */

import { effect, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { arrangeBoxes, categoryOf, checks, imageModel, kinds, picture, placeAgain } from "../live";
import type { Thing } from "../model/document";
import { add, align, all, find, paint, putBox, set, type Edit } from "../model/edits";
import {
  boxBetween,
  contains,
  cycled,
  handleAt,
  moved,
  resized,
  snapped,
  type Alignment,
  type Guide,
  type Handle,
} from "../model/geometry";
import type { Box } from "../model/scene";
import { theme } from "../theme";
import {
  abandonGesture,
  document_,
  edit,
  endGesture,
  hovered,
  insert,
  moving,
  nameOf,
  names,
  notify,
  say,
  select,
  selected,
  selection,
  tool,
  type Tool,
} from "../state";
import { Button } from "../ui/button";
import { Combobox } from "../ui/combobox";
import type { IconName } from "../ui/icons";
import { Menu } from "../ui/menu";
import { Popover } from "../ui/popover";
import { readDrop } from "./drop";
import { LayoutStage } from "./layout-stage";

const beneath = signal(true);
const brushSize = signal(0.04);
const guides = signal<readonly Guide[]>([]);
/** A box that was drawn and has no name yet. */
const drawn = signal<{ readonly box: Box; readonly done: boolean } | undefined>(undefined);
const pointer = signal<{ x: number; y: number } | undefined>(undefined);

/** Pixels. */
const THRESHOLD = 3;
const HANDLE_REACH = 9;
const TOUCH_REACH = 18;
const SNAP = 6;

export function LayoutView() {
  const container = useRef<HTMLDivElement>(null);
  const stage = useRef<LayoutStage | undefined>(undefined);

  useEffect(() => {
    const shown = new LayoutStage(container.current!);
    stage.current = shown;
    const image = new Image();
    const tick = signal(0);
    image.onload = () => (tick.value += 1);
    const stop = [
      effect(() => {
        if (picture.value) image.src = picture.value.url;
        else image.removeAttribute("src");
      }),
      effect(() => {
        void theme.value;
        shown.recolour();
        tick.value = tick.peek() + 1;
      }),
      effect(() => {
        void tick.value;
        const brushing = (tool.value === "paint" || tool.value === "erase") && pointer.value;
        shown.draw({
          things: document_.value.things,
          names: names.value,
          selection: selection.value,
          hovered: hovered.value,
          guides: guides.value,
          drawn: drawn.value?.box,
          brush: brushing ? { ...brushing, radius: brushSize.value } : undefined,
          picture: beneath.value && picture.value ? image : undefined,
          handles: tool.value === "select" || tool.value === "box",
        });
      }),
    ];
    const observer = new ResizeObserver(([entry]) => {
      shown.resize(entry!.contentRect.width, entry!.contentRect.height);
      tick.value += 1;
    });
    observer.observe(container.current!);
    void document.fonts.ready.then(() => (tick.value += 1));
    return () => {
      for (const end of stop) end();
      observer.disconnect();
      shown.destroy();
      drawn.value = undefined;
      pointer.value = undefined;
    };
  }, []);

  const at = (event: { clientX: number; clientY: number }): [number, number] => {
    const { left, top } = container.current!.getBoundingClientRect();
    const { x, y, side } = stage.current!.frame;
    return [(event.clientX - left - x) / side, (event.clientY - top - y) / side];
  };

  return (
    <div class="layout">
      <LayoutTools />
      <div class="drawing">
        <div
          ref={container}
          class={`stage tool-${tool.value}`}
          tabIndex={0}
          role="group"
          aria-label="Layout. Arrow keys move what is selected, with Alt they resize it. The objects are listed beside."
          aria-describedby="layout-help"
          onPointerDown={(event) => stage.current && press(event, at, stage.current)}
          onPointerMove={(event) => {
            const [x, y] = at(event);
            pointer.value = { x, y };
            if (!event.buttons && event.pointerType === "mouse") {
              hovered.value = under(x, y)[0];
              event.currentTarget.style.cursor = cursorFor(x, y, stage.current!);
            }
          }}
          onPointerLeave={() => {
            pointer.value = undefined;
            hovered.value = undefined;
          }}
          onDragOver={(event) => event.preventDefault()}
          onDrop={(event) => readDrop(event, at(event))}
        />
        {drawn.value?.done && <NameBox box={drawn.value.box} frame={stage.current!.frame} />}
        {!document_.value.things.length && !drawn.value && (
          <p class="empty">Nothing here yet. Drag a box, then say what is in it.</p>
        )}
      </div>
    </div>
  );
}

/** Those whose box is under a point, the front one first. */
function under(x: number, y: number): number[] {
  return document_.value.things
    .filter((thing) => thing.box && contains(thing.box, x, y))
    .map((thing) => thing.id)
    .reverse();
}

function cursorFor(x: number, y: number, stage: LayoutStage): string {
  if (tool.value === "paint" || tool.value === "erase") return "none";
  if (tool.value === "box") return "crosshair";
  const box = selection.value.length === 1 ? selected.value?.box : undefined;
  const handle = box && handleAt(box, x, y, HANDLE_REACH / stage.frame.side);
  if (handle) return `${handle}-resize`;
  return labelAt(stage, x, y) !== undefined || under(x, y).length ? "move" : "crosshair";
}

const labelAt = (stage: LayoutStage, x: number, y: number): number | undefined =>
  stage.labels.findLast(({ box }) => contains(box, x, y))?.id;

type Where = (event: { clientX: number; clientY: number }) => [number, number];

/** Begins what the tool does. It goes on wherever the pointer is, until it is released. */
function press(event: PointerEvent & { currentTarget: HTMLDivElement }, at: Where, stage: LayoutStage): void {
  if (event.button !== 0 || !event.isPrimary) return;
  event.currentTarget.focus({ preventScroll: true });
  event.currentTarget.setPointerCapture(event.pointerId);
  drawn.value = undefined;
  hovered.value = undefined;
  const start = at(event);
  const gesture = `layout ${event.pointerId} ${event.timeStamp}`;
  const drag = begin(event, start, gesture, stage);
  if (!drag) return;
  const element = event.currentTarget;
  let travelled = false;
  const move = (moved: PointerEvent) => {
    if (moved.pointerId !== event.pointerId) return;
    travelled ||= Math.hypot(moved.clientX - event.clientX, moved.clientY - event.clientY) > THRESHOLD;
    if (!travelled) return;
    moving.value = true;
    drag.move(at(moved), moved);
  };
  const stop = (ended: PointerEvent) => {
    if (ended.pointerId !== event.pointerId) return;
    finish();
    if (ended.type === "pointercancel") return abandonGesture(gesture);
    endGesture();
    if (travelled) drag.done?.();
    else drag.clicked?.();
  };
  const escape = (pressed: KeyboardEvent) => {
    if (pressed.key !== "Escape") return;
    pressed.stopPropagation();
    finish();
    drawn.value = undefined;
    abandonGesture(gesture);
  };
  const finish = () => {
    guides.value = [];
    element.removeEventListener("pointermove", move);
    element.removeEventListener("pointerup", stop);
    element.removeEventListener("pointercancel", stop);
    window.removeEventListener("keydown", escape, true);
  };
  element.addEventListener("pointermove", move);
  element.addEventListener("pointerup", stop);
  element.addEventListener("pointercancel", stop);
  window.addEventListener("keydown", escape, true);
}

interface Drag {
  move(to: [number, number], event: PointerEvent): void;
  done?(): void;
  /** The pointer was released where it was pressed. */
  clicked?(): void;
}

function begin(event: PointerEvent, start: [number, number], gesture: string, stage: LayoutStage): Drag | undefined {
  if (tool.value === "paint" || tool.value === "erase") return brush(start, gesture, tool.value === "erase");
  if (tool.value === "box") return drawing(start);
  const [x, y] = start;
  const reach = (event.pointerType === "mouse" ? HANDLE_REACH : TOUCH_REACH) / stage.frame.side;
  const box = selection.value.length === 1 ? selected.value?.box : undefined;
  const handle = box && handleAt(box, x, y, reach);
  if (box && handle) return resizing(selected.value!, box, handle, start, gesture, stage);
  const label = labelAt(stage, x, y);
  const found = label === undefined ? under(x, y) : [label];
  if (!found.length) return { ...drawing(start), clicked: () => select(undefined) };
  if (event.shiftKey) {
    select(found[0], true);
    return dragging(start, gesture, stage);
  }
  const already = found.find((id) => selection.value.includes(id));
  if (already === undefined) select(found[0]);
  // A click on what is selected goes on to what lies behind it.
  const clicked = () => {
    if (already === undefined) return;
    const next = cycled(found, already);
    select(next);
    if (next !== undefined) say(`${nameOf(next)} selected`);
  };
  return { ...dragging(start, gesture, stage), clicked };
}

function dragging([x, y]: [number, number], gesture: string, stage: LayoutStage): Drag {
  const boxes = document_.value.things.flatMap((thing) =>
    selection.value.includes(thing.id) && thing.box ? [[thing.id, thing.box] as const] : [],
  );
  const others = document_.value.things.flatMap((thing) =>
    !selection.value.includes(thing.id) && thing.box ? [thing.box] : [],
  );
  const label = `Move ${boxes.map(([id]) => nameOf(id)).join(", ")}`;
  return {
    move([mx, my], event) {
      let [dx, dy] = [mx - x, my - y];
      const [first] = boxes;
      guides.value = [];
      if (first && !event.altKey) {
        const snap = snapped(moved(first[1], dx, dy), others, SNAP / stage.frame.side);
        [dx, dy, guides.value] = [dx + snap.dx, dy + snap.dy, snap.guides];
      }
      edit(label, all(...boxes.map(([id, box]) => putBox(id, moved(box, dx, dy)))), gesture);
    },
  };
}

function resizing(
  thing: Thing,
  box: Box,
  handle: Handle,
  [x, y]: [number, number],
  gesture: string,
  stage: LayoutStage,
): Drag {
  const others = document_.value.things.flatMap((one) => (one.id !== thing.id && one.box ? [one.box] : []));
  return {
    move([mx, my], event) {
      let [dx, dy] = [mx - x, my - y];
      guides.value = [];
      if (!event.altKey) {
        const edges = (
          [
            ["w", 0],
            ["n", 1],
            ["e", 2],
            ["s", 3],
          ] as const
        ).flatMap(([side, edge]) => (handle.includes(side) ? [edge] : []));
        const raw = box.map((edge, at) => edge + (edges.includes(at as 0) ? (at % 2 ? dy : dx) : 0)) as unknown as Box;
        const snap = snapped(raw, others, SNAP / stage.frame.side, edges);
        [dx, dy, guides.value] = [dx + snap.dx, dy + snap.dy, snap.guides];
      }
      edit(`Resize ${nameOf(thing.id)}`, putBox(thing.id, resized(box, handle, dx, dy)), gesture);
    },
  };
}

function drawing([x, y]: [number, number]): Drag {
  return {
    move([mx, my]) {
      drawn.value = { box: boxBetween(x, y, mx, my), done: false };
    },
    done() {
      if (drawn.value) drawn.value = { ...drawn.value, done: true };
    },
  };
}

function brush(start: [number, number], gesture: string, erases: boolean): Drag | undefined {
  const id = selected.value?.id ?? under(...start)[0];
  if (id === undefined) {
    notify("Choose an object first: its shape is what the brush paints.");
    return undefined;
  }
  select(id);
  let last = start;
  const stamp = (to: [number, number]) => {
    edit(
      `${erases ? "Erase" : "Paint"} the shape of ${nameOf(id)}`,
      paint(id, { points: [last, to], radius: brushSize.value, erases }),
      gesture,
    );
    last = to;
  };
  stamp(start);
  return { move: stamp };
}

/** Asks for the name of a box that was drawn. */
function NameBox({ box, frame: { x, y, side } }: { box: Box; frame: LayoutStage["frame"] }) {
  const close = () => (drawn.value = undefined);
  return (
    <Popover
      at={[x + ((box[0] + box[2]) / 2) * side, y + ((box[1] + box[3]) / 2) * side]}
      within={[2 * x + side, 2 * y + side]}
    >
      <Combobox
        label="What is in this box?"
        placeholder="What is it?"
        options={kinds.value}
        autoFocus
        onCancel={close}
        onPick={(name) => {
          close();
          insert(`Draw ${name}`, add({ category: categoryOf(name), box }));
          tool.value = "select";
        }}
      />
    </Popover>
  );
}

const TOOLS: readonly { tool: Tool; icon: IconName; label: string; key: string }[] = [
  { tool: "select", icon: "cursor", label: "Select and move", key: "V" },
  { tool: "box", icon: "box", label: "Draw a box", key: "B" },
  { tool: "paint", icon: "brush", label: "Paint the shape", key: "M" },
  { tool: "erase", icon: "eraser", label: "Erase the shape", key: "E" },
];

const ALIGNMENTS: readonly Alignment[] = ["left", "centre", "right", "top", "middle", "bottom"];

function LayoutTools() {
  const broken = checks.value?.holds.filter((holds) => holds === false).length ?? 0;
  const brushing = tool.value === "paint" || tool.value === "erase";
  const masked = selected.value?.mask;
  return (
    <div class="toolbar">
      <div class="segments" role="group" aria-label="Tools">
        {TOOLS.map((one) => (
          <Button
            key={one.tool}
            icon={one.icon}
            label={one.label}
            shortcut={one.key}
            pressed={tool.value === one.tool}
            onClick={() => (tool.value = one.tool)}
          />
        ))}
      </div>
      {brushing && (
        <label class="slider">
          <span>Brush</span>
          <input
            type="range"
            min={0.01}
            max={0.15}
            step={0.005}
            value={brushSize.value}
            onInput={(event) => (brushSize.value = Number(event.currentTarget.value))}
          />
        </label>
      )}
      {masked && (
        <Button
          label="Remove the shape"
          onClick={() =>
            edit(
              `Remove the shape of ${nameOf(selected.value!.id)}`,
              set(selected.value!.id, { mask: undefined } as never),
            )
          }
        >
          Whole box
        </Button>
      )}
      <span class="space" />
      {selection.value.length > 0 && !brushing && (
        <Menu
          label="Align"
          icon="align"
          items={ALIGNMENTS.map((to) => ({
            label: `Align ${to}`,
            run: () => edit(`Align ${to}`, align(selection.value, to)),
          }))}
        >
          Align
        </Menu>
      )}
      {broken > 0 && !brushing && (
        <Button
          icon="wand"
          label={`${broken} ${broken === 1 ? "relation does" : "relations do"} not hold: move boxes as little as needed`}
          onClick={() => void arrangeBoxes()}
        >
          Arrange
        </Button>
      )}
      {!brushing && (
        <Button icon="dice" label="Place all objects that are not pinned again" onClick={placeAgain}>
          Place again
        </Button>
      )}
      <Button
        icon="picture"
        label="Picture beneath the boxes"
        pressed={beneath.value}
        onClick={() => (beneath.value = !beneath.value)}
      />
      {brushing && imageModel.value?.composed && (
        <p class="hint">This picture goes by boxes. Shapes count for models that take them: see Models and size.</p>
      )}
    </div>
  );
}

/** Resizes what is selected by keys. */
export const grow =
  (ids: readonly number[], dx: number, dy: number): Edit =>
  (document) =>
    all(
      ...ids.flatMap((id) => {
        const box = find(document, id)?.box;
        return box ? [putBox(id, resized(box, "se", dx, dy))] : [];
      }),
    )(document);
