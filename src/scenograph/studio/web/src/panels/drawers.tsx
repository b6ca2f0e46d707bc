/** Found scenes and crops, where the service has them. */

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { ServiceError, api, type Crop, type SearchResult } from "../api";
import { models } from "../live";
import { toScene } from "../model/document";
import { document_, nameOf, selected } from "../state";
import { Button } from "../ui/button";
import { addScene, startDrag, takeCrop, takeScene } from "../views/drop";

const CROPS = 12;
const RESULTS = 12;

const results = signal<readonly SearchResult[] | undefined>(undefined);
const crops = signal<{ readonly category: string; readonly found: readonly Crop[] } | undefined>(undefined);
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
      {known.search.map(({ id }) => (
        <Button
          key={id}
          icon="search"
          label="Find scenes like this one"
          onClick={() =>
            void asked(async () => {
              results.value = (await api.search(id, toScene(document_.value), RESULTS)).results;
            })
          }
        >
          Find scenes like this
        </Button>
      ))}
      {results.value && <Results found={results.value} />}
      {known.memory.map(({ id }) => (
        <Crops key={id} memory={id} />
      ))}
      {state.value && (
        <p class="hint" role="status">
          {state.value}
        </p>
      )}
    </section>
  );
}

function Results({ found }: { found: readonly SearchResult[] }) {
  if (!found.length) return <p class="hint">Nothing was found.</p>;
  return (
    <ul class="found">
      {found.map((one) => (
        <li key={one.id} draggable onDragStart={(event) => startDrag(event, { kind: "scene", scene: one.scene })}>
          <button
            type="button"
            aria-label={`Use found scene ${one.id}`}
            title={one.scene.objects.map(({ category }) => category).join(", ")}
            onClick={() => takeScene(one.scene)}
          >
            <img src={`data:image/png;base64,${one.thumbnail}`} alt="" draggable={false} />
          </button>
          <Button icon="plus" label={`Add the objects of found scene ${one.id}`} onClick={() => addScene(one.scene)} />
        </li>
      ))}
    </ul>
  );
}

function Crops({ memory }: { memory: string }) {
  const thing = selected.value;
  useEffect(() => {
    if (thing?.category !== crops.value?.category) crops.value = undefined;
  }, [thing?.category]);
  if (!thing) return null;
  const index = document_.value.things.indexOf(thing);
  return (
    <>
      <Button
        icon="picture"
        label={`Find crops for ${nameOf(thing.id)}`}
        onClick={() =>
          void asked(async () => {
            const { category } = thing;
            crops.value = {
              category,
              found: (await api.crops(memory, category, toScene(document_.value), index, CROPS)).crops,
            };
          })
        }
      >
        Crops for {nameOf(thing.id)}
      </Button>
      {crops.value && (
        <ul class="found">
          {crops.value.found.map((crop) => (
            <li
              key={crop.id}
              draggable
              onDragStart={(event) => startDrag(event, { kind: "crop", category: thing.category, memory, crop })}
            >
              <button
                type="button"
                aria-label={`Use crop ${crop.id}`}
                title={crop.origin}
                onClick={() => takeCrop(thing.id, memory, crop)}
              >
                <img src={`data:image/png;base64,${crop.png}`} alt="" draggable={false} />
              </button>
              <small>
                {crop.author} {crop.licence}
              </small>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
