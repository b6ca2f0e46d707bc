/** The picture, drawn as the scene changes, with variants and what was drawn before. */

import { effect, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import {
  album,
  away,
  drawVariants,
  drawing,
  freshSeed,
  imageModel,
  isCurrent,
  models,
  picture,
  problem,
  variants,
  type Picture,
} from "../live";
import { configure } from "../model/edits";
import { contains, cycled } from "../model/geometry";
import { begun, document_, edit, hovered, names, select, selected, selection } from "../state";
import { Button } from "../ui/button";
import { Icon } from "../ui/icons";

const compared = signal<Picture | undefined>(undefined);
const split = signal(0.5);

// Pictures of different scenes have nothing to compare.
effect(() => {
  void begun.value;
  compared.value = undefined;
});

export function PictureView() {
  const found = picture.value;
  const other = compared.value;
  return (
    <section class="picture" aria-label="Picture">
      <h2 class="unseen">Picture</h2>
      <div class={`frame ${drawing.value ? "drawing-now" : ""}`}>
        {found ? (
          <img
            class={found.draft ? "draft" : ""}
            src={found.url}
            alt={`Picture of ${[...names.value.values()].join(", ")}`}
            onClick={pick}
            draggable={false}
          />
        ) : (
          <p class="empty">{placeholder()}</p>
        )}
        {found && other && <Compared other={other} />}
        <Outline />
      </div>
      <Status />
      <SeedLine />
      <Models />
      <Strip
        title="Variants"
        pictures={variants.value}
        onPick={(one) => edit(`Use seed ${one.seed}`, configure({ seed: one.seed }))}
        empty={
          <Button label="Draw four variants with other seeds" disabled={!found} onClick={() => void drawVariants()}>
            Draw four variants
          </Button>
        }
      />
      {album.value.length > 1 && (
        <Strip
          title="Before"
          pictures={album.value.slice(1)}
          onPick={(one) => {
            select(undefined);
            edit("Go back to this picture", (document) => ({
              ...one.document,
              places: document.places,
              next: Math.max(document.next, one.document.next),
            }));
          }}
          extra={
            <Button
              icon="compare"
              label="Compare with the picture before"
              pressed={other !== undefined}
              onClick={() => (compared.value = other ? undefined : album.value[1])}
            />
          }
        />
      )}
    </section>
  );
}

function placeholder(): string {
  if (away.value) return "The service is away. The picture follows when it is back.";
  return document_.value.things.length ? "The picture is on its way." : "An empty stage.";
}

/** A click on the picture selects what is there; further clicks what is behind. */
function pick(event: MouseEvent & { currentTarget: HTMLImageElement }): void {
  const { left, top, width, height } = event.currentTarget.getBoundingClientRect();
  const [x, y] = [(event.clientX - left) / width, (event.clientY - top) / height];
  const under = document_.value.things
    .filter((thing) => thing.box && contains(thing.box, x, y))
    .map((thing) => thing.id)
    .reverse();
  select(cycled(under, selected.value?.id));
}

/** Shows in the picture what is selected or pointed at elsewhere. */
function Outline() {
  const thing = document_.value.things.find((one) => one.id === (hovered.value ?? selection.value.at(-1)));
  if (!thing?.box || !picture.value) return null;
  const [x0, y0, x1, y1] = thing.box;
  return (
    <svg class="outline" viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden="true">
      <rect x={x0} y={y0} width={x1 - x0} height={y1 - y0} />
    </svg>
  );
}

function Compared({ other }: { other: Picture }) {
  const image = useRef<HTMLImageElement>(null);
  useEffect(() => {
    image.current!.style.clipPath = `inset(0 ${(1 - split.value) * 100}% 0 0)`;
  });
  return (
    <>
      <img ref={image} class="compared" src={other.url} alt="The picture before" draggable={false} />
      <input
        class="split"
        type="range"
        min={0}
        max={1}
        step={0.01}
        value={split.value}
        aria-label="How much of the picture before is shown"
        onInput={(event) => (split.value = Number(event.currentTarget.value))}
      />
    </>
  );
}

function Status() {
  const found = picture.value;
  if (problem.value) {
    const { text, object } = problem.value;
    return (
      <p class="status wrong" role="alert">
        <Icon name="warning" />
        <span>{text}</span>
        {object !== undefined && (
          <button type="button" class="link" onClick={() => select(object)}>
            Show it
          </button>
        )}
      </p>
    );
  }
  const placing = document_.value.things.some((thing) => !thing.box);
  const state =
    !found && !document_.value.things.length
      ? ""
      : away.value
        ? "Waiting for the service"
        : isCurrent.value
          ? `Finished in ${Math.round(found!.milliseconds)} ms`
          : placing
            ? "Placing…"
            : "Drawing…";
  return (
    <>
      <p class="status">{state}</p>
      {found?.notes.map((note) => (
        <p class="status" key={note}>
          {note}
        </p>
      ))}
    </>
  );
}

function SeedLine() {
  const { seed, locked } = document_.value.settings;
  return (
    <div class="seed row">
      <label>
        <span>Seed</span>
        <input
          type="number"
          min={0}
          max={999_999_999}
          value={seed}
          onChange={(event) => {
            const value = event.currentTarget.valueAsNumber;
            if (Number.isInteger(value) && value >= 0 && value <= 999_999_999)
              edit(`Seed ${value}`, configure({ seed: value }));
            else event.currentTarget.value = String(seed);
          }}
        />
      </label>
      <Button icon="dice" label="Another seed" shortcut="S" onClick={shuffle} />
      <Button
        icon={locked ? "lock" : "unlock"}
        label={locked ? "The seed stays for new scenes" : "New scenes get a new seed"}
        shortcut="L"
        pressed={locked}
        onClick={toggleLock}
      />
    </div>
  );
}

export const shuffle = (): void => {
  const seed = freshSeed();
  edit(`Seed ${seed}`, configure({ seed }));
};
export const toggleLock = (): void =>
  edit(document_.value.settings.locked ? "Unlock the seed" : "Lock the seed", (document) =>
    configure({ locked: !document.settings.locked })(document),
  );

function Models() {
  const { layout, image, memory, size } = document_.value.settings;
  const known = models.value;
  if (!known) return null;
  const sizes = imageModel.value?.sizes ?? [];
  const choose = (
    name: string,
    value: string | undefined,
    options: readonly { id: string; title: string }[],
    pick: (value: string | undefined) => void,
  ) => (
    <label>
      <span>{name}</span>
      <select value={value ?? ""} onChange={(event) => pick(event.currentTarget.value || undefined)}>
        <option value="">By the names in the scene</option>
        {options.map(({ id }) => (
          <option key={id} value={id}>
            {id}
          </option>
        ))}
      </select>
      {value && <small>{options.find(({ id }) => id === value)?.title}</small>}
    </label>
  );
  return (
    <details class="models">
      <summary>Models and size</summary>
      {choose("Layout", layout, known.layout, (value) => edit("Choose the layout model", configure({ layout: value })))}
      {choose("Picture", image, known.image, (value) =>
        edit("Choose the image model", configure({ image: value, size: undefined })),
      )}
      {known.memory.length > 0 && (
        <label>
          <span>Crops</span>
          <select
            value={memory ?? ""}
            onChange={(event) =>
              edit("Choose the memory of crops", configure({ memory: event.currentTarget.value || undefined }))
            }
          >
            <option value="">As the model has them</option>
            {known.memory.map(({ id }) => (
              <option key={id} value={id}>
                {id}
              </option>
            ))}
          </select>
        </label>
      )}
      {sizes.length > 0 && (
        <label>
          <span>Size</span>
          <select
            value={size ?? ""}
            onChange={(event) =>
              edit("Choose the size", configure({ size: Number(event.currentTarget.value) || undefined }))
            }
          >
            <option value="">As the model draws</option>
            {sizes.map((side) => (
              <option key={side} value={side}>
                {side} px
              </option>
            ))}
          </select>
        </label>
      )}
    </details>
  );
}

interface StripProps {
  title: string;
  pictures: readonly Picture[];
  onPick: (picture: Picture) => void;
  empty?: preact.ComponentChildren;
  extra?: preact.ComponentChildren;
}

function Strip({ title, pictures, onPick, empty, extra }: StripProps) {
  return (
    <div class="strip">
      <header>
        <h3>{title}</h3>
        {extra}
      </header>
      {pictures.length ? (
        <ul>
          {pictures.map((one) => (
            <li key={one.url}>
              <button
                type="button"
                title={`Seed ${one.seed}`}
                aria-label={`${title}: seed ${one.seed}`}
                onClick={() => onPick(one)}
              >
                <img src={one.url} alt="" draggable={false} />
              </button>
              <small>{one.seed}</small>
            </li>
          ))}
        </ul>
      ) : (
        empty
      )}
    </div>
  );
}
