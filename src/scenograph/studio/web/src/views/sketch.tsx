/** The sketch: strokes of objects, and of objects to come. */

import { computed, effect, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { api } from "../api";
import { categoryOf, kinds, models, picture } from "../live";
import type { Stroke, Thing } from "../model/document";
import { draw, dropDraft, erase, nameDraft, set } from "../model/edits";
import { ontoCanvas, outline, thinned } from "../model/strokes";
import {
  abandonGesture,
  document_,
  edit,
  endGesture,
  insert,
  moving,
  nameOf,
  select,
  selected,
  selection,
  word,
} from "../state";
import { Button } from "../ui/button";
import { Combobox } from "../ui/combobox";

/** Units of the drawing across the canvas. */
const SIDE = 600;
const PEN = 7;
const ERASER = 0.025;
/** Boxes and strokes may reach beyond the canvas. */
const MARGIN = 40;

const eraserOn = signal(false);
const stroke = signal<Stroke | undefined>(undefined);
const beneath = signal(true);
/** What was drawn and named last: it stays selected, to be called something else, but the next stroke begins anew. */
const named = signal<number | undefined>(undefined);
/** Whose strokes the pen draws; of none, of something new. */
const target = computed(() => (selected.value?.id === named.value ? undefined : selected.value));
effect(() => {
  if (selected.value?.id !== named.peek()) named.value = undefined;
}); // so that strokes belong to it when it is selected again
type Guess = { readonly category: string; readonly probability: number };
/** The most probable first. */
const recognised = signal<readonly Guess[]>([]);
const RUNNERS_UP = 2;

const strokesOf = (thing: Thing): readonly Stroke[] =>
  thing.sketch && "strokes" in thing.sketch && thing.box
    ? thing.sketch.strokes.map((one) => ontoCanvas(one, thing.box!))
    : [];

/** What the recogniser is asked about: the draft, or the selected object's strokes. */
const asked = computed<readonly Stroke[]>(() => {
  if (document_.value.draft.length) return document_.value.draft;
  return selected.value ? strokesOf(selected.value) : [];
});

export function SketchView() {
  const svg = useRef<SVGSVGElement>(null);
  const { things, draft } = document_.value;
  useRecognition();

  const at = (event: PointerEvent): Stroke[number] => {
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.current!.getScreenCTM()!.inverse());
    return [x / SIDE, y / SIDE, event.pointerType === "pen" ? event.pressure : 0.5];
  };

  return (
    <div class="sketch">
      <div class="toolbar">
        <div class="segments" role="group" aria-label="Tools">
          <Button icon="pen" label="Pen" pressed={!eraserOn.value} onClick={() => (eraserOn.value = false)} />
          <Button icon="eraser" label="Eraser" pressed={eraserOn.value} onClick={() => (eraserOn.value = true)} />
        </div>
        <span class="space" />
        {selected.value?.sketch && (
          <Button
            label="Remove the sketch"
            onClick={() =>
              edit(
                `Remove the sketch of ${nameOf(selected.value!.id)}`,
                set(selected.value!.id, { sketch: undefined } as never),
              )
            }
          >
            Remove sketch
          </Button>
        )}
        <Button
          icon="picture"
          label="Picture beneath the strokes"
          pressed={beneath.value}
          onClick={() => (beneath.value = !beneath.value)}
        />
      </div>
      <div class="drawing">
        <svg
          ref={svg}
          class={eraserOn.value ? "erasing" : "drawing-pen"}
          viewBox={`${-MARGIN} ${-MARGIN} ${SIDE + 2 * MARGIN} ${SIDE + 2 * MARGIN}`}
          role="img"
          aria-label={`Sketch: ${draft.length} strokes without a name, ${things.filter((thing) => thing.sketch).length} sketched objects`}
          onPointerDown={(event) => event.button === 0 && event.isPrimary && press(event, at)}
        >
          <rect class="canvas" width={SIDE} height={SIDE} rx="3" />
          {beneath.value && picture.value && (
            <image href={picture.value.url} width={SIDE} height={SIDE} opacity="0.35" preserveAspectRatio="none" />
          )}
          {things.map((thing) => (
            <SketchedThing key={thing.id} thing={thing} />
          ))}
          {draft.map((one, number) => (
            <path key={number} class="stroke draft" d={outline(one, SIDE, PEN)} />
          ))}
          {stroke.value && !eraserOn.value && <path class="stroke current" d={outline(stroke.value, SIDE, PEN)} />}
          {stroke.value && eraserOn.value && (
            <circle
              class="eraser"
              cx={stroke.value.at(-1)![0] * SIDE}
              cy={stroke.value.at(-1)![1] * SIDE}
              r={ERASER * SIDE}
            />
          )}
        </svg>
      </div>
      {/* It is always there: the canvas must not move under the pen. */}
      <div class="naming">{draft.length > 0 ? <NameDraft /> : <Target />}</div>
    </div>
  );
}

function SketchedThing({ thing }: { thing: Thing }) {
  const isSelected = selection.value.includes(thing.id);
  if (!thing.box) return null;
  const [x0, y0, x1, y1] = thing.box;
  return (
    <g class={`hue-${thing.id % 8} ${isSelected ? "selected" : ""}`}>
      {(isSelected || !thing.sketch) && (
        <rect class="box" x={x0 * SIDE} y={y0 * SIDE} width={(x1 - x0) * SIDE} height={(y1 - y0) * SIDE} />
      )}
      {isSelected && (
        <text class="name" x={x0 * SIDE + 7} y={y0 * SIDE + 22}>
          {nameOf(thing.id)}
        </text>
      )}
      {strokesOf(thing).map((one, number) => (
        <path key={number} class="stroke" d={outline(one, SIDE, PEN)} />
      ))}
    </g>
  );
}

function press(
  event: PointerEvent & { currentTarget: SVGSVGElement },
  at: (event: PointerEvent) => Stroke[number],
): void {
  event.preventDefault();
  const element = event.currentTarget;
  element.setPointerCapture(event.pointerId);
  const gesture = `sketch ${event.pointerId} ${event.timeStamp}`;
  if (!eraserOn.value && !target.value) select(undefined);
  const owner = selected.value?.id;
  let last = at(event);
  stroke.value = [last];
  moving.value = true;
  const rub = (to: Stroke[number]) =>
    edit(
      "Erase strokes",
      erase(
        owner,
        [
          [last[0], last[1]],
          [to[0], to[1]],
        ],
        ERASER,
      ),
      gesture,
    );
  if (eraserOn.value) rub(last);
  const move = (moved: PointerEvent) => {
    const points = (moved.getCoalescedEvents?.() ?? []).map(at);
    if (!points.length) points.push(at(moved));
    if (eraserOn.value) {
      for (const point of points) (rub(point), (last = point));
      stroke.value = [last];
    } else stroke.value = [...stroke.value!, ...points];
  };
  const end = (ended: PointerEvent) => {
    element.removeEventListener("pointermove", move);
    element.removeEventListener("pointerup", end);
    element.removeEventListener("pointercancel", end);
    const drawn = thinned(stroke.value ?? []);
    stroke.value = undefined;
    if (ended.type === "pointercancel") return abandonGesture(gesture);
    if (!eraserOn.value)
      edit(owner === undefined ? "Draw a stroke" : `Draw a stroke of ${nameOf(owner)}`, draw(owner, drawn), gesture);
    endGesture();
  };
  element.addEventListener("pointermove", move);
  element.addEventListener("pointerup", end);
  element.addEventListener("pointercancel", end);
}

/** Whose strokes will be drawn, and, of a sketch, what else it may show. */
function Target() {
  const thing = selected.value;
  if (!thing) return <p class="hint">Draw something new, then say what it is. Or select an object, to sketch this.</p>;
  const call = (category: string) => edit(`Call it ${word(category)}`, set(thing.id, { category }));
  const others = recognised.value.filter(({ category }) => category !== thing.category);
  return (
    <>
      <p class="hint">
        {target.value ? (
          <>
            {thing.sketch ? "This is" : "Strokes belong to"} <b>{nameOf(thing.id)}</b>.{" "}
            <button type="button" class="link" onClick={() => select(undefined)}>
              Draw something new
            </button>
          </>
        ) : (
          <>
            This is <b>{nameOf(thing.id)}</b>.{" "}
            <button type="button" class="link" onClick={() => (named.value = undefined)}>
              Draw more of it
            </button>
          </>
        )}
      </p>
      {thing.sketch && (
        <>
          {others.length > 0 && <span class="hint">Or is it</span>}
          <Guesses guesses={others.slice(0, RUNNERS_UP)} onPick={call} />
          <Combobox
            label="What is it?"
            placeholder="Something else…"
            options={kinds.value}
            suggested={others.map(({ category }) => word(category))}
            onPick={(name) => call(categoryOf(name))}
          />
        </>
      )}
    </>
  );
}

function NameDraft() {
  const [best, ...others] = recognised.value;
  return (
    <>
      {best && (
        <>
          <span class="hint">Is it</span>
          <button type="button" class="button primary" onClick={() => name(best.category)}>
            <span>
              {word(best.category)} <small>{percent(best.probability)}</small>
            </span>
          </button>
          <span class="hint">or</span>
          <Guesses guesses={others.slice(0, RUNNERS_UP)} onPick={name} />
        </>
      )}
      <Combobox
        label="What did you draw?"
        placeholder={best ? "Something else…" : "What did you draw?"}
        options={kinds.value}
        suggested={recognised.value.map(({ category }) => word(category))}
        onPick={(typed) => name(categoryOf(typed))}
      />
      <Button icon="trash" label="Discard the strokes" onClick={() => edit("Discard strokes", dropDraft)} />
    </>
  );
}

function name(category: string): void {
  insert(`Draw ${word(category)}`, nameDraft(category));
  named.value = selected.value?.id;
}
const percent = (probability: number): string => `${Math.round(probability * 100)} %`;

function Guesses({ guesses, onPick }: { guesses: readonly Guess[]; onPick: (category: string) => void }) {
  if (!guesses.length) return null;
  return (
    <div class="chips" role="group" aria-label="Recognised names">
      {guesses.map(({ category, probability }) => (
        <button key={category} type="button" class="chip" onClick={() => onPick(category)}>
          {word(category)} <small>{percent(probability)}</small>
        </button>
      ))}
    </div>
  );
}

/** Asks what the strokes show, where the service can tell. */
function useRecognition(): void {
  const strokes = asked.value;
  useEffect(() => {
    recognised.value = [];
    if (!models.value?.sketches || !strokes.length) return;
    let isCurrent = true;
    const timer = setTimeout(() => {
      void api.recognise(strokes.map((one) => [one.map(([x]) => x), one.map(([, y]) => y)])).then(
        ({ names }) => isCurrent && (recognised.value = names),
        () => undefined,
      );
    }, 300);
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [strokes, models.value?.sketches]);
}
