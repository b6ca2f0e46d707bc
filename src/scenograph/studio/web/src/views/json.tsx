/** The scene as JSON, editable; what is wrong is marked at its place. */

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { toScene, withScene } from "../model/document";
import { JsonError, lineAndColumn, parseScene, placeOf, parseJson, printScene, type Place } from "../model/json";
import { problem } from "../live";
import { document_, edit, endGesture, rewound } from "../state";

/** What is being typed; undefined while the text follows the scene. */
const typed = signal<string | undefined>(undefined);
const mistake = signal<{ readonly text: string; readonly place: Place } | undefined>(undefined);

export function JsonView() {
  const area = useRef<HTMLTextAreaElement>(null);
  const mirror = useRef<HTMLPreElement>(null);
  const text = typed.value ?? printScene(toScene(document_.value));
  const found = mistake.value ?? refused(text);

  useEffect(() => finish, []);
  useEffect(() => {
    // An undo takes back what was typed, too, also if it could not be read.
    typed.value = undefined;
    mistake.value = undefined;
  }, [rewound.value]);

  return (
    <div class="json">
      <div class="drawing">
        <pre ref={mirror} aria-hidden="true">
          {found ? (
            <>
              {text.slice(0, found.place.start)}
              <mark>{text.slice(found.place.start, Math.max(found.place.end, found.place.start + 1)) || " "}</mark>
              {text.slice(Math.max(found.place.end, found.place.start + 1))}
            </>
          ) : (
            text
          )}
          {"\n"}
        </pre>
        <textarea
          ref={area}
          aria-label="Scene as JSON"
          aria-invalid={found !== undefined}
          aria-describedby="json-state"
          spellcheck={false}
          autocomplete="off"
          autocapitalize="off"
          value={text}
          onInput={(event) => type(event.currentTarget.value)}
          onBlur={finish}
          onScroll={(event) => mirror.current?.scrollTo(event.currentTarget.scrollLeft, event.currentTarget.scrollTop)}
        />
      </div>
      <p id="json-state" class={found ? "state wrong" : "state"} role="status">
        {found ? (
          <button
            type="button"
            class="link"
            onClick={() => (area.current!.focus(), area.current!.setSelectionRange(found.place.start, found.place.end))}
          >
            {`Line ${lineAndColumn(text, found.place.start).join(", column ")}: ${found.text}`}
          </button>
        ) : (
          "Valid. Changes take effect as you type."
        )}
      </p>
    </div>
  );
}

const GESTURE = "json";

function type(text: string): void {
  typed.value = text;
  try {
    const scene = parseScene(text);
    mistake.value = undefined;
    const isSame = printScene(scene) === printScene(toScene(document_.value));
    if (!isSame) edit("Edit as JSON", (document) => withScene(document, scene), GESTURE);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    mistake.value = { text: error.message, place: error.place };
  }
}

function finish(): void {
  endGesture();
  if (mistake.value) return;
  typed.value = undefined;
}

/** What the service refused, at its place in the text. */
function refused(text: string): { text: string; place: Place } | undefined {
  const { object, text: message } = problem.value ?? {};
  if (object === undefined || message === undefined) return undefined;
  const index = document_.value.things.findIndex((thing) => thing.id === object);
  const place = index < 0 ? undefined : (placeOf(`objects[${index}].category`, parseJson(text).places) ?? undefined);
  return place && { text: message, place };
}
