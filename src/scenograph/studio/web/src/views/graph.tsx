/** The graph: objects as nodes, relations as arrows. */

import { computed, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { arrangeBoxes, checks, vocabulary } from "../live";
import type { Link, Point, Thing } from "../model/document";
import { isSame, putNode, relate, remove, rename, unrelate } from "../model/edits";
import { clamp } from "../model/geometry";
import { NODE_HEIGHT, arrange, edges, halfWidth, type Edge } from "../model/graph";
import { arrow } from "../model/keys";
import {
  document_,
  edit,
  endGesture,
  hovered,
  nameOf,
  names,
  sayLink,
  select,
  selectLink,
  selectedLink,
  selection,
} from "../state";
import { AddObject } from "../panels/add-object";
import { Button } from "../ui/button";
import { Combobox } from "../ui/combobox";
import { Popover } from "../ui/popover";
import { shortened, textWidth } from "../ui/text-width";

/** The drawing's width and height in pixels. */
const frame = signal<Point>([700, 560]);
/** Where nodes settled that the user did not move; they stay there as others come. */
let settled: Record<number, Point> = {};
let isMeasured = false;

const label = (thing: Thing): string => [...thing.attributes, nameOf(thing.id)].join(" ");
const halves = computed(
  () =>
    new Map(document_.value.things.map((thing) => [thing.id, halfWidth(textWidth(shortened(label(thing)), 14, 550))])),
);
const half = (id: number): number => halves.value.get(id) ?? 30;

/** In pixels. */
const nodePlaces = computed<Record<number, Point>>(() => {
  const { things, links, places } = document_.value;
  settled = arrange(things, links, { ...settled, ...places }, { frame: frame.peek(), half, wide: nameWidth });
  const [width, height] = frame.value;
  return Object.fromEntries(
    Object.entries(settled).map(([id, [x, y]]) => [
      id,
      [
        clamp(x * width, half(Number(id)), Math.max(width - half(Number(id)), width / 2)),
        clamp(y * height, NODE_HEIGHT / 2, height - NODE_HEIGHT / 2),
      ],
    ]),
  );
});

const put = (id: number, [x, y]: Point) => putNode(id, [x / frame.value[0], y / frame.value[1]]);

/** An arrow that is being drawn from a node to the pointer, or to the node whose relation is asked for. */
const pending = signal<{ readonly from: number; readonly to: Point; readonly target?: number } | undefined>(undefined);

/** The state of each relation: outvoted by others, held by the boxes or not. */
type State = "contradicted" | "broken" | "fine";

function stateOf(number: number): State {
  const found = checks.value;
  if (found?.contradictions.some(({ relations }) => relations.includes(number))) return "contradicted";
  return found?.holds[number] === false ? "broken" : "fine";
}

export function GraphView() {
  const svg = useRef<SVGSVGElement>(null);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      const { width, height } = entry!.contentRect;
      if (!width || !height) return;
      // Nodes were placed for a guess so far.
      if (!isMeasured) settled = {};
      isMeasured = true;
      frame.value = [width, height];
    });
    observer.observe(svg.current!);
    return () => observer.disconnect();
  }, []);
  const { things, links } = document_.value;
  const at = nodePlaces.value;
  const drawn = edges(links, (id) => at[id]!, { half, wide: nameWidth });
  const pulled = pending.value;

  const toDrawing = (event: PointerEvent): Point => {
    const { left, top } = svg.current!.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  };

  return (
    <div class="graph">
      <div class="toolbar">
        <AddObject />
        {things.length > 1 && (
          <p class="hint">Drag from the ring at a node’s right end to another node to relate them.</p>
        )}
      </div>
      <Contradictions />
      <NotShown />
      <div class="drawing">
        <svg
          ref={svg}
          role="group"
          aria-label="Scene graph"
          onPointerDown={(event) => event.target === svg.current && (select(undefined), (pending.value = undefined))}
        >
          <defs>
            {(["fine", "broken", "contradicted"] as const).map((state) => (
              <marker
                key={state}
                id={`arrow-${state}`}
                class={`arrow ${state}`}
                viewBox="0 0 10 10"
                refX="8"
                refY="5"
                markerWidth="8"
                markerHeight="8"
                orient="auto-start-reverse"
              >
                <path d="M1 1.500 8.500 5 1 8.500" />
              </marker>
            ))}
          </defs>
          {links.map((link, number) => (
            <EdgeLine
              key={`${link.subject} ${link.predicate} ${link.object}`}
              link={link}
              number={number}
              edge={drawn[number]!}
            />
          ))}
          {pulled && (
            <line
              class="pulled"
              x1={at[pulled.from]![0]}
              y1={at[pulled.from]![1]}
              x2={pulled.to[0]}
              y2={pulled.to[1]}
            />
          )}
          {things.map((thing) => (
            <Node key={thing.id} thing={thing} place={at[thing.id]!} toDrawing={toDrawing} />
          ))}
        </svg>
        {pulled?.target !== undefined && <AskPredicate from={pulled.from} to={pulled.target} at={pulled.to} />}
        {selectedLink.value && !pulled && <LinkEditor link={selectedLink.value} />}
        {!things.length && <p class="empty">Nothing here yet. Type a name above, or a sentence at the top.</p>}
      </div>
    </div>
  );
}

interface NodeProps {
  thing: Thing;
  place: Point;
  toDrawing: (event: PointerEvent) => Point;
}

function Node({ thing, place, toDrawing }: NodeProps) {
  const wide = half(thing.id);
  const isSelected = selection.value.includes(thing.id);
  const text = label(thing);

  const onPointerDown = (event: PointerEvent & { currentTarget: SVGGElement }) => {
    if (event.button !== 0) return;
    event.preventDefault();
    select(thing.id, event.shiftKey);
    if (!event.shiftKey) event.currentTarget.focus({ preventScroll: true });
    const connects = (event.target as Element).classList.contains("port");
    const [x, y] = toDrawing(event);
    const gesture = `node ${thing.id} ${event.pointerId} ${event.timeStamp}`;
    const move = (moved: PointerEvent) => {
      const [mx, my] = toDrawing(moved);
      if (connects) pending.value = { from: thing.id, to: [mx, my] };
      else if (Math.hypot(mx - x, my - y) > 3)
        edit(`Move ${text}`, put(thing.id, [place[0] + mx - x, place[1] + my - y]), gesture);
    };
    const end = (ended: PointerEvent) => {
      finish();
      endGesture();
      if (!connects) return;
      const target = nodeAt(ended);
      pending.value =
        ended.type === "pointerup" && target !== undefined && target !== thing.id
          ? { from: thing.id, to: nodePlaces.value[target]!, target }
          : undefined;
    };
    const finish = listen({ pointermove: move, pointerup: end, pointercancel: end });
  };

  const onKeyDown = (event: KeyboardEvent) => {
    const step = arrow(event.key, event.shiftKey ? 40 : 10);
    if (step) {
      event.preventDefault();
      event.stopPropagation();
      edit(`Move ${text}`, put(thing.id, [place[0] + step[0], place[1] + step[1]]), `keys ${thing.id}`);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      select(thing.id, event.shiftKey);
    }
  };

  return (
    <g
      class={`node ${isSelected ? "selected" : ""} ${hovered.value === thing.id ? "hovered" : ""} hue-${thing.id % 8}`}
      data-id={thing.id}
      transform={`translate(${place[0]} ${place[1]})`}
      tabIndex={0}
      role="button"
      aria-pressed={isSelected}
      aria-label={`${text}, object`}
      onPointerDown={onPointerDown}
      onPointerEnter={() => (hovered.value = thing.id)}
      onPointerLeave={() => (hovered.value = undefined)}
      onFocus={() => selection.value.includes(thing.id) || select(thing.id)}
      onKeyDown={onKeyDown}
      onKeyUp={(event) => arrow(event.key, 1) && endGesture()}
    >
      <rect class="pill" x={-wide} y={-NODE_HEIGHT / 2} width={2 * wide} height={NODE_HEIGHT} rx={NODE_HEIGHT / 2} />
      <circle class="swatch" cx={-wide + 17} r="4.500" />
      <text x={2} dy="0.35em">
        {shortened(text)}
      </text>
      <circle class="port" cx={wide} r="7" />
      <circle class="port reach" cx={wide} r="14" />
    </g>
  );
}

/** Follows a pointer wherever it goes, also off the page. Returns how to stop. */
function listen(handlers: Record<string, (event: PointerEvent) => void>): () => void {
  for (const [type, handler] of Object.entries(handlers)) window.addEventListener(type, handler as EventListener);
  return () => {
    for (const [type, handler] of Object.entries(handlers)) window.removeEventListener(type, handler as EventListener);
  };
}

function nodeAt(event: PointerEvent): number | undefined {
  const node = document.elementFromPoint(event.clientX, event.clientY)?.closest<SVGGElement>(".node");
  return node ? Number(node.dataset.id) : undefined;
}

const nameWidth = (link: Link): number => textWidth(shortened(link.predicate), 12, 450) + 14;

function EdgeLine({ link, number, edge: { path, label: place } }: { link: Link; number: number; edge: Edge }) {
  const state = stateOf(number);
  const isSelected = selectedLink.value !== undefined && isSame(selectedLink.value, link);
  const remark = { contradicted: ", contradicts others", broken: ", does not hold in the layout", fine: "" }[state];
  const wide = nameWidth(link);

  return (
    <g
      class={`edge ${state} ${isSelected ? "selected" : ""}`}
      tabIndex={0}
      role="button"
      aria-pressed={isSelected}
      aria-label={`${sayLink(link)}${remark}`}
      onClick={() => selectLink(link)}
      onKeyDown={(event) => {
        if (event.key === "Enter" || event.key === " ") (event.preventDefault(), selectLink(link));
        else if (event.key === "Delete" || event.key === "Backspace")
          (event.preventDefault(), event.stopPropagation(), edit(`Remove ${sayLink(link)}`, unrelate([link])));
      }}
    >
      <path class="reach" d={path} />
      <path class="line" d={path} marker-end={`url(#arrow-${state})`} />
      <rect class="paper" x={place[0] - wide / 2} y={place[1] - 10} width={wide} height={20} rx={10} />
      <text x={place[0]} y={place[1]} dy="0.35em">
        {shortened(link.predicate)}
      </text>
      {state === "broken" && <title>The boxes do not show this relation yet.</title>}
    </g>
  );
}

function AskPredicate({ from, to, at }: { from: number; to: number; at: Point }) {
  const cancel = () => (pending.value = undefined);
  return (
    <Popover at={[at[0], at[1] + 26]} within={frame.value}>
      <p>
        <b>{nameOf(from)}</b> … <b>{nameOf(to)}</b>
      </p>
      <Combobox
        label={`How ${nameOf(from)} relates to ${nameOf(to)}`}
        placeholder="left of, on, behind…"
        options={vocabulary.value?.predicates ?? []}
        autoFocus
        onCancel={cancel}
        onPick={(predicate) => {
          cancel();
          const link = { subject: from, predicate, object: to };
          edit(`Relate: ${sayLink(link)}`, relate(link));
        }}
      />
    </Popover>
  );
}

function LinkEditor({ link }: { link: Link }) {
  const from = nodePlaces.value[link.subject] ?? [0, 0];
  const to = nodePlaces.value[link.object] ?? [0, 0];
  const done = () => (selectedLink.value = undefined);
  return (
    <Popover at={[(from[0] + to[0]) / 2, (from[1] + to[1]) / 2 + 16]} within={frame.value}>
      <p>
        <b>{nameOf(link.subject)}</b> … <b>{nameOf(link.object)}</b>
      </p>
      <div class="row">
        <Combobox
          key={sayLink(link)}
          label="Relation"
          options={vocabulary.value?.predicates ?? []}
          value={link.predicate}
          keeps
          autoFocus
          onCancel={done}
          onPick={(predicate) => {
            edit(`Change to ${predicate}`, rename(link, predicate));
            selectedLink.value = predicate === link.predicate ? undefined : { ...link, predicate };
          }}
        />
        <Button
          icon="trash"
          label="Remove relation"
          onClick={() => edit(`Remove ${sayLink(link)}`, unrelate([link]))}
        />
      </div>
    </Popover>
  );
}

/** Relations that contradict each other, and the fewest whose removal ends it. */
function Contradictions() {
  const { links } = document_.value;
  void names.value;
  return (
    <>
      {checks.value?.contradictions.map(({ relations, repair }) => {
        const involved = relations.flatMap((at) => links[at] ?? []);
        const gone = repair.flatMap((at) => links[at] ?? []);
        if (!involved.length || !gone.length) return null;
        const remedy = gone.map(sayLink).join("; ");
        return (
          <div class="alarm" role="alert" key={relations.join()}>
            <p>
              <b>These contradict each other:</b> {involved.map(sayLink).join("; ")}.
            </p>
            <Button label={`Remove ${remedy}`} kind="danger" onClick={() => edit(`Remove ${remedy}`, unrelate(gone))}>
              Remove “{remedy}”
            </Button>
          </div>
        );
      })}
    </>
  );
}

/** Relations that the boxes do not show, and a way to have them do so. */
function NotShown() {
  const found = document_.value.links.filter((_, at) => stateOf(at) === "broken");
  if (!found.length || checks.value?.contradictions.length) return null;
  return (
    <div class="remark" role="status">
      <p>
        <b>Not in the picture yet:</b> {found.map(sayLink).join("; ")}.
      </p>
      <Button
        icon="wand"
        label="Move boxes as little as needed for the relations to hold"
        onClick={() => void arrangeBoxes()}
      >
        Arrange
      </Button>
    </div>
  );
}

/** Removes what is selected, in whichever view. */
export function removeSelected(): void {
  const link = selectedLink.value;
  if (link) return edit(`Remove ${sayLink(link)}`, unrelate([link]));
  const ids = selection.value;
  if (ids.length) edit(`Remove ${ids.map(nameOf).join(", ")}`, remove(ids));
}
