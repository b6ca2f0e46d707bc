/** The objects, from the front to the back, and the one that is selected. */

import { signal } from "@preact/signals";

import { categoryOf, checks, freshSeed, kinds, problem, vocabulary } from "../live";
import type { Link, Thing } from "../model/document";
import { change, duplicate, putBox, raise, relate, reorder, set, setSeed, unrelate } from "../model/edits";
import { boxBetween } from "../model/geometry";
import { document_, edit, hovered, nameOf, names, sayLink, select, selected, selection, word } from "../state";
import { Button } from "../ui/button";
import { Combobox } from "../ui/combobox";
import { Icon } from "../ui/icons";
import { removeSelected } from "../views/graph";
import { AddObject } from "./add-object";

const TYPE = "application/x-scenograph-object";

export function ObjectsPanel() {
  const { things } = document_.value;
  return (
    <section class="objects" aria-label="Objects">
      <header>
        <h2>Objects</h2>
        <small>front first</small>
      </header>
      {things.length ? (
        <ol role="listbox" aria-label="Objects, the front one first" aria-multiselectable="true" tabIndex={-1}>
          {[...things].reverse().map((thing) => (
            <Row key={thing.id} thing={thing} />
          ))}
        </ol>
      ) : (
        <p class="empty">No objects yet.</p>
      )}
      <AddObject />
      {selected.value && selection.value.length === 1 && <Inspector key={selected.value.id} thing={selected.value} />}
      {selection.value.length > 1 && (
        <p class="hint">{selection.value.length} objects selected. Arrow keys move them, Delete removes them.</p>
      )}
    </section>
  );
}

function Row({ thing }: { thing: Thing }) {
  const isSelected = selection.value.includes(thing.id);
  const index = document_.value.things.indexOf(thing);
  const isWrong = problem.value?.object === thing.id || checks.value?.unknown.some((one) => one.object === index);
  const marks = [
    thing.mask && "shape",
    thing.sketch && "sketch",
    thing.crop && "crop",
    thing.seed !== undefined && "own seed",
  ]
    .filter(Boolean)
    .join(", ");
  return (
    <li
      role="option"
      aria-selected={isSelected}
      class={`${isSelected ? "selected" : ""} hue-${thing.id % 8} ${isWrong ? "wrong" : ""}`}
      tabIndex={isSelected || (!selection.value.length && index === document_.value.things.length - 1) ? 0 : -1}
      data-id={thing.id}
      draggable
      onDragStart={(event) => event.dataTransfer?.setData(TYPE, String(thing.id))}
      onDragOver={(event) => event.dataTransfer?.types.includes(TYPE) && event.preventDefault()}
      onDrop={(event) => {
        const id = Number(event.dataTransfer?.getData(TYPE));
        if (id) (event.preventDefault(), event.stopPropagation(), edit(`Reorder ${nameOf(id)}`, reorder(id, index)));
      }}
      onClick={(event) => select(thing.id, event.shiftKey || event.ctrlKey || event.metaKey)}
      onPointerEnter={() => (hovered.value = thing.id)}
      onPointerLeave={() => (hovered.value = undefined)}
      onKeyDown={(event) => onRowKey(event, thing)}
    >
      <span class="swatch" />
      <span class="label">
        <b>{names.value.get(thing.id)}</b>
        {thing.attributes.length > 0 && <small>{thing.attributes.join(" ")}</small>}
      </span>
      {isWrong && <Icon name="warning" />}
      <small class="marks">{marks}</small>
      {thing.pinned && (
        <span class="pinned" title="Pinned: its box stays">
          <Icon name="pin" />
          <span class="unseen">pinned</span>
        </span>
      )}
    </li>
  );
}

/** Up and down go through the list; with Ctrl and Shift they are taken by the page, and with Alt they reorder. */
function onRowKey(event: KeyboardEvent & { currentTarget: HTMLLIElement }, thing: Thing): void {
  const step = { ArrowUp: 1, ArrowDown: -1 }[event.key];
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    select(thing.id, event.shiftKey);
  } else if (step && !event.shiftKey && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    event.stopPropagation();
    if (event.altKey)
      return edit(`${step > 0 ? "Bring forward" : "Send back"} ${nameOf(thing.id)}`, raise(thing.id, step));
    const { things } = document_.value;
    const next = things[things.indexOf(thing) + step];
    if (!next) return;
    select(next.id);
    event.currentTarget.parentElement?.querySelector<HTMLElement>(`[data-id="${next.id}"]`)?.focus();
  }
}

function Inspector({ thing }: { thing: Thing }) {
  const index = document_.value.things.indexOf(thing);
  const unknown = checks.value?.unknown.find((one) => one.object === index && one.category === thing.category);
  const called = nameOf(thing.id);
  return (
    <div class="inspector" role="group" aria-label={called}>
      <div class="row actions">
        <Button
          icon="up"
          label="Bring forward"
          shortcut="]"
          onClick={() => edit(`Bring ${called} forward`, raise(thing.id, 1))}
        />
        <Button
          icon="down"
          label="Send back"
          shortcut="["
          onClick={() => edit(`Send ${called} back`, raise(thing.id, -1))}
        />
        <Button
          icon="pin"
          label={thing.pinned ? "Unpin: its box may be placed again" : "Pin: its box stays"}
          shortcut="P"
          pressed={thing.pinned}
          disabled={!thing.box}
          onClick={togglePin}
        />
        <Button icon="copy" label="Duplicate" shortcut="Ctrl D" onClick={duplicateSelected} />
        <span class="space" />
        <Button icon="trash" label={`Remove ${called}`} shortcut="Delete" onClick={removeSelected} />
      </div>
      <div class="field">
        <span>Category</span>
        <Combobox
          label="Category"
          options={kinds.value}
          value={word(thing.category)}
          keeps
          onPick={(name) => edit(`Call it ${name}`, set(thing.id, { category: categoryOf(name) }))}
        />
      </div>
      {unknown && (
        <div class="chips" role="group" aria-label="Nearest names">
          <small class="wrong">Unknown here{unknown.nearest.length ? ". Nearest:" : "."}</small>
          {unknown.nearest.map((name) => (
            <button
              key={name}
              type="button"
              class="chip"
              onClick={() => edit(`Call it ${word(name)}`, set(thing.id, { category: name }))}
            >
              {word(name)}
            </button>
          ))}
        </div>
      )}
      {Object.entries(vocabulary.value?.attributes ?? {}).map(([group, options]) => (
        <Attribute key={group} thing={thing} group={group} options={options} />
      ))}
      <BoxFields thing={thing} />
      <Looks thing={thing} />
      <Relations thing={thing} />
      {thing.crop && (
        <p class="origin">
          <img src={`data:image/png;base64,${thing.crop.png}`} alt="" />
          <small>{thing.origin}</small>
          <Button
            icon="close"
            label="Remove the crop"
            onClick={() => edit("Remove the crop", set(thing.id, { crop: undefined, origin: undefined } as never))}
          />
        </p>
      )}
    </div>
  );
}

function Attribute({ thing, group, options }: { thing: Thing; group: string; options: readonly string[] }) {
  const current = thing.attributes.find((one) => options.includes(one)) ?? "";
  return (
    <label class="field">
      <span>{group[0]!.toUpperCase() + group.slice(1)}</span>
      <select
        value={current}
        onChange={(event) => {
          const value = event.currentTarget.value;
          const others = thing.attributes.filter((one) => !options.includes(one));
          edit(
            value ? `Make ${nameOf(thing.id)} ${value}` : `Leave the ${group} open`,
            set(thing.id, { attributes: value ? [...others, value] : others }),
          );
        }}
      >
        <option value="">any</option>
        {options.map((one) => (
          <option key={one}>{one}</option>
        ))}
      </select>
    </label>
  );
}

const SIDES = ["X", "Y", "Width", "Height"] as const;

function BoxFields({ thing }: { thing: Thing }) {
  const { box } = thing;
  if (!box) return null;
  const values = [box[0], box[1], box[2] - box[0], box[3] - box[1]];
  const put = (field: number, percent: number): void => {
    const next = values.map((value, at) => (at === field ? percent / 100 : value));
    if (!Number.isFinite(percent) || next[2]! <= 0 || next[3]! <= 0) return;
    const [x, y, width, height] = next as [number, number, number, number];
    edit(`Place ${nameOf(thing.id)}`, putBox(thing.id, boxBetween(x, y, x + width, y + height)));
  };
  return (
    <fieldset class="box-fields">
      <legend>Box, in percent</legend>
      {SIDES.map((side, at) => (
        <label key={side}>
          <span>{side}</span>
          <input
            type="number"
            step={1}
            value={Math.round(values[at]! * 1000) / 10}
            onChange={(event) => put(at, event.currentTarget.valueAsNumber)}
          />
        </label>
      ))}
    </fieldset>
  );
}

/** The looks of one object, while the rest of the picture stays. */
function Looks({ thing }: { thing: Thing }) {
  const called = nameOf(thing.id);
  return (
    <div class="field">
      <span>Looks</span>
      <div class="row">
        <Button
          label={`New looks for ${called}; the rest stays`}
          onClick={() => edit(`New looks for ${called}`, setSeed(thing.id, freshSeed()))}
        >
          New looks
        </Button>
        {thing.seed !== undefined && (
          <Button
            icon="close"
            label="Leave the looks to the picture’s seed"
            onClick={() => edit(`Leave the looks of ${called} open`, setSeed(thing.id, undefined))}
          />
        )}
        {thing.seed !== undefined && <small class="marks">seed {String(thing.seed)}</small>}
      </div>
    </div>
  );
}

const target = signal<number | undefined>(undefined);

function Relations({ thing }: { thing: Thing }) {
  const { links, things } = document_.value;
  const mine = links.filter((link) => link.subject === thing.id || link.object === thing.id);
  const others = things.filter((one) => one.id !== thing.id);
  const to = others.find((one) => one.id === target.value) ?? others[0];
  return (
    <div class="relations">
      <h3>Relations</h3>
      {mine.length > 0 && (
        <ul>
          {mine.map((link) => (
            <RelationRow key={sayLink(link)} link={link} />
          ))}
        </ul>
      )}
      {to && (
        <div class="row relate" id="relate">
          <Combobox
            label={`How ${nameOf(thing.id)} relates to ${nameOf(to.id)}`}
            placeholder="left of…"
            options={vocabulary.value?.predicates ?? []}
            onPick={(predicate) => {
              const link = { subject: thing.id, predicate, object: to.id };
              edit(`Relate: ${sayLink(link)}`, relate(link));
            }}
          />
          <select
            aria-label="To which object"
            value={to.id}
            onChange={(event) => (target.value = Number(event.currentTarget.value))}
          >
            {others.map((one) => (
              <option key={one.id} value={one.id}>
                {nameOf(one.id)}
              </option>
            ))}
          </select>
        </div>
      )}
    </div>
  );
}

function RelationRow({ link }: { link: Link }) {
  const number = document_.value.links.indexOf(link);
  const isOut = checks.value?.contradictions.some(({ relations }) => relations.includes(number));
  return (
    <li class={isOut ? "wrong" : ""}>
      <span>{sayLink(link)}</span>
      {checks.value?.holds[number] === false && !isOut && <small>not in the layout</small>}
      <Button
        icon="close"
        label={`Remove ${sayLink(link)}`}
        onClick={() => edit(`Remove ${sayLink(link)}`, unrelate([link]))}
      />
    </li>
  );
}

export function togglePin(): void {
  const thing = selected.value;
  if (thing?.box)
    edit(
      thing.pinned ? `Unpin ${nameOf(thing.id)}` : `Pin ${nameOf(thing.id)}`,
      change(thing.id, (one) => ({ ...one, pinned: !one.pinned })),
    );
}

export function duplicateSelected(): void {
  const { next } = document_.value;
  const count = document_.value.things.length;
  edit(`Duplicate ${selection.value.map(nameOf).join(", ")}`, duplicate(selection.value));
  const added = document_.value.things.length - count;
  if (added) selection.value = Array.from({ length: added }, (_, at) => next + at);
}
