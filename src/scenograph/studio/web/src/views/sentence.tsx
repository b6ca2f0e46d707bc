/** The scene as a sentence, to read and to write. */

import { computed, effect, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { ServiceError, api } from "../api";
import { EXAMPLES } from "../examples";
import { away, begin, freshSeed, sentence } from "../live";
import { replaceScene, type Document } from "../model/document";
import { all, configure } from "../model/edits";
import { beginWith, begun, document_, history } from "../state";
import { Button } from "../ui/button";
import { Icon } from "../ui/icons";

/** What is being typed; undefined while the line follows the scene. */
const typed = signal<string | undefined>(undefined);
/** What the user wrote, by the graph that was read from it: it says the same, in better words. */
const written = signal<ReadonlyMap<string, string>>(new Map());
const graphKey = computed(() => keyOf(document_.value));
const notes = signal<readonly string[]>([]);
const mistake = signal("");
const reading = signal(false);

// What was typed and not read is not about another scene.
effect(() => {
  void begun.value;
  forget();
});

export function Sentence() {
  const line = useRef<HTMLTextAreaElement>(null);
  const text = typed.value ?? written.value.get(graphKey.value) ?? sentence.value;

  useEffect(() => fit(line.current!), [text]);
  useEffect(() => {
    const refit = () => fit(line.current!);
    addEventListener("resize", refit);
    return () => removeEventListener("resize", refit);
  }, []);

  return (
    <form
      aria-label="Sentence"
      class={`sentence ${mistake.value ? "wrong" : ""}`}
      onSubmit={(event) => {
        event.preventDefault();
        void read(text, line.current!);
      }}
    >
      <textarea
        ref={line}
        id="sentence"
        rows={1}
        aria-label="The scene in words"
        aria-describedby="sentence-notes"
        aria-invalid={mistake.value !== ""}
        placeholder="Describe a scene: two sheep standing on grass; a tree behind one sheep"
        spellcheck={false}
        value={text}
        onInput={(event) => {
          typed.value = event.currentTarget.value;
          mistake.value = "";
        }}
        onKeyDown={(event) => {
          if (event.key === "Enter" && !event.shiftKey) (event.preventDefault(), void read(text, line.current!));
          else if (event.key === "Escape") (forget(), event.currentTarget.blur());
        }}
        onBlur={() => typed.value?.trim() || forget()}
      />
      <div class="row">
        {typed.value !== undefined && <Button icon="close" label="Back to the words of the scene" onClick={forget} />}
        <button
          type="submit"
          class="button primary"
          disabled={typed.value === undefined || !text.trim() || reading.value || away.value}
        >
          {reading.value ? "Reading…" : "Draw this"}
        </button>
      </div>
      <div id="sentence-notes" class="notes" role="status">
        {mistake.value && (
          <p class="wrong">
            <Icon name="warning" />
            {mistake.value}
          </p>
        )}
        {!history.value.past.length && (
          <div class="chips" role="group" aria-label="Examples">
            <span>Or begin with</span>
            {EXAMPLES.map((example) => (
              <button key={example.title} type="button" class="chip" onClick={() => begin(example)}>
                {example.title}
              </button>
            ))}
          </div>
        )}
        {written.value.has(graphKey.value) && notes.value.map((note) => <p key={note}>{note}</p>)}
      </div>
    </form>
  );
}

function keyOf({ things, links }: Document): string {
  const index = new Map(things.map(({ id }, number) => [id, number]));
  return JSON.stringify([
    things.map(({ category, attributes }) => [category, attributes]),
    links.map(({ subject, predicate, object }) => [index.get(subject), predicate, index.get(object)]),
  ]);
}

function forget(): void {
  typed.value = undefined;
  mistake.value = "";
}

function fit(line: HTMLTextAreaElement): void {
  line.style.height = "auto";
  line.style.height = `${Math.min(line.scrollHeight, 132)}px`;
}

async function read(text: string, line: HTMLTextAreaElement): Promise<void> {
  if (!text.trim() || reading.value) return;
  notes.value = [];
  const { layout, image, locked } = document_.value.settings;
  reading.value = true;
  try {
    const found = await api.read(text, layout, image);
    beginWith(
      "Draw the sentence",
      all((document) => replaceScene(document, found.scene), configure(locked ? {} : { seed: freshSeed() })),
    );
    notes.value = found.notes;
    written.value = new Map([...written.value, [graphKey.value, text]]);
    line.blur();
  } catch (error) {
    mistake.value =
      error instanceof ServiceError ? error.message : "The service cannot be reached. What you typed stays here.";
  } finally {
    reading.value = false;
  }
}
