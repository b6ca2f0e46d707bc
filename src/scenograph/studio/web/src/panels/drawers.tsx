/** Found scenes and crops, where the service has them. */

import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { ServiceError, api, type Crop, type SearchResult } from "../api";
import { models } from "../live";
import { toScene } from "../model/document";
import { document_, hovered, nameOf, selected, word } from "../state";
import { Button } from "../ui/button";
import { Icon } from "../ui/icons";
import { addScene, startDrag, takeCrop, takeScene, type Here } from "../views/drop";

const CROPS = 12;
const RESULTS = 12;

/** What was found, of which index and for which things. */
const results = signal<
  | {
      readonly search: string;
      readonly things: readonly number[];
      readonly found: readonly SearchResult[];
      readonly notes: readonly string[];
    }
  | undefined
>(undefined);
const crops = signal<
  { readonly memory: string; readonly category: string; readonly found: readonly Crop[] } | undefined
>(undefined);
const state = signal("");

async function asked(work: () => Promise<void>): Promise<void> {
  state.value = "Searching…";
  try {
    await work();
    state.value = "";
  } catch (error) {
    state.value =
      error instanceof ServiceError ? error.message : "The service cannot be reached; try again when it is back.";
  }
}

export function Drawers() {
  const known = models.value;
  if (!known || !(known.search.length || (known.memory.length && selected.value))) return null;
  return (
    <section class="drawers" aria-label="Found">
      {state.value && (
        <p class="hint" role="status">
          {state.value}
        </p>
      )}
      {selected.value && known.memory.map(({ id }) => <Crops key={id} memory={id} alone={known.memory.length < 2} />)}
      {known.search.map(({ id }) => (
        <Results key={id} search={id} alone={known.search.length < 2} />
      ))}
    </section>
  );
}

function Results({ search, alone }: { search: string; alone: boolean }) {
  const found = results.value?.search === search ? results.value : undefined;
  const present = new Set(document_.value.things.map(({ id }) => id));
  const find = () =>
    asked(async () => {
      const things = document_.value.things.map(({ id }) => id);
      const reply = await api.search(search, toScene(document_.value), RESULTS);
      results.value = { search, things, found: reply.results, notes: reply.notes };
    });
  return (
    <>
      <Opener
        icon="search"
        isOpen={found !== undefined}
        isEmpty={!present.size}
        onOpen={find}
        onClose={() => (results.value = undefined)}
      >
        Scenes like this{alone ? "" : ` from ${search}`}
      </Opener>
      {found?.notes.map((note) => (
        <p key={note} class="hint">
          {note}
        </p>
      ))}
      {found && !found.found.length && <p class="hint">Nothing was found.</p>}
      {found && found.found.length > 0 && (
        <>
          <p class="hint">
            A click takes one instead of this scene. The plus, or dragging it there, adds what is not here yet.
          </p>
          <ul class="found scenes">
            {found.found.map((one) => (
              <FoundScene
                key={one.id}
                one={one}
                here={one.matches
                  .map(([query, at]) => [at, found.things[query]!] as const)
                  .filter(([, id]) => present.has(id))}
              />
            ))}
          </ul>
        </>
      )}
    </>
  );
}

/** A found scene, and which of its objects are like which here. */
function FoundScene({ one, here }: { one: SearchResult; here: Here }) {
  const { objects } = one.scene;
  const lacking = objects
    .filter((_, at) => !here.some(([found]) => found === at))
    .map(({ category }) => word(category));
  return (
    <li draggable onDragStart={(event) => startDrag(event, { kind: "scene", scene: one.scene, here })}>
      <button
        type="button"
        class="thumbnail"
        aria-label={`Use found scene ${one.id}: ${objects.map(({ category }) => word(category)).join(", ")}`}
        title={`${one.id}, by ${one.author}, ${one.licence}`}
        onClick={() => takeScene(one.scene)}
      >
        <img src={`data:image/png;base64,${one.thumbnail}`} alt="" draggable={false} />
        <svg viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden="true">
          {here.map(([found, id]) => {
            const [x0, y0, x1, y1] = objects[found]?.box ?? [0, 0, 0, 0];
            return (
              <rect
                key={found}
                class={`hue-${id % 8} ${hovered.value === id ? "hovered" : ""}`}
                x={x0}
                y={y0}
                width={x1 - x0}
                height={y1 - y0}
              />
            );
          })}
        </svg>
      </button>
      <div class="match">
        <b title="How like this scene it is">{Math.round(one.score * 100)} %</b>
        <Button
          icon="plus"
          label={lacking.length ? `Add ${lacking.join(", ")}` : "All of it is here already"}
          disabled={!lacking.length}
          onClick={() => addScene(one.scene, here)}
        />
      </div>
      <small class="matched">
        {here.map(([found, id]) => (
          <span key={found} class={`hue-${id % 8}`}>
            <span class="swatch" />
            {word(objects[found]!.category)}
          </span>
        ))}
      </small>
    </li>
  );
}

function Crops({ memory, alone }: { memory: string; alone: boolean }) {
  const thing = selected.value!;
  const { category } = thing;
  useEffect(() => {
    if (category !== crops.value?.category) crops.value = undefined;
  }, [category]);
  const found = crops.value?.memory === memory && crops.value.category === category ? crops.value.found : undefined;
  const index = document_.value.things.indexOf(thing);
  const find = () =>
    asked(async () => {
      const scene = toScene(document_.value);
      crops.value = { memory, category, found: (await api.crops(memory, category, scene, index, CROPS)).crops };
    });
  const rights = new Set(found?.map(rightsOf));
  return (
    <>
      <Opener icon="picture" isOpen={found !== undefined} onOpen={find} onClose={() => (crops.value = undefined)}>
        Crops for {nameOf(thing.id)}
        {alone ? "" : ` from ${memory}`}
      </Opener>
      {found && (
        <>
          <p class="hint">
            Click to use one, or drag it onto an object.
            {rights.size === 1 && ` All by ${[...rights][0]}.`}
          </p>
          <ul class="found">
            {found.map((crop) => (
              <li key={crop.id} draggable onDragStart={(event) => startDrag(event, { kind: "crop", category, crop })}>
                <button
                  type="button"
                  class={`thumbnail ${thing.crop?.png === crop.png ? "used" : ""}`}
                  aria-label={`Use crop ${crop.id}, by ${rightsOf(crop)}`}
                  aria-pressed={thing.crop?.png === crop.png}
                  title={crop.origin}
                  onClick={() => takeCrop(thing.id, crop)}
                >
                  <img src={`data:image/png;base64,${crop.png}`} alt="" draggable={false} />
                </button>
                {rights.size > 1 && <small>{rightsOf(crop)}</small>}
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}

const rightsOf = ({ author, licence }: Crop): string => [author, licence].filter(Boolean).join(", ");

/** Asks for what a drawer holds, and puts it away again. */
function Opener(props: {
  icon: "search" | "picture";
  isOpen: boolean;
  /** Whether there is nothing to ask about. */
  isEmpty?: boolean;
  children: ComponentChildren;
  onOpen: () => Promise<void>;
  onClose: () => void;
}) {
  const element = useRef<HTMLDivElement>(null);
  // What was found is below: often below the edge of the panel.
  const open = () => void props.onOpen().then(() => element.current?.scrollIntoView({ block: "start" }));
  return (
    <div class="opener" ref={element}>
      <button
        type="button"
        class="button"
        aria-disabled={props.isEmpty || undefined}
        onClick={() => props.isEmpty || open()}
      >
        <Icon name={props.icon} />
        <span>{props.children}</span>
      </button>
      {props.isOpen && <Button icon="close" label="Put away what was found" onClick={props.onClose} />}
    </div>
  );
}
