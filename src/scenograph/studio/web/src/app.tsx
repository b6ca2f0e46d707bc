import { useEffect, useState } from "preact/hooks";

import { EXAMPLES, NOTHING } from "./examples";
import { chooseFile, openFile } from "./io/files";
import { exportItems, share } from "./io/exports";
import { shortcutsOpen } from "./keyboard";
import { away, begin, picture } from "./live";
import type { Scene } from "./model/scene";
import { Drawers } from "./panels/drawers";
import { ObjectsPanel } from "./panels/objects";
import { Shortcuts } from "./panels/shortcuts";
import { WORKSPACES, dismiss, document_, history, notices, redo, spoken, undo, view, type View } from "./state";
import { theme, toggleTheme } from "./theme";
import { Button } from "./ui/button";
import { Icon, type IconName } from "./ui/icons";
import { Menu } from "./ui/menu";
import { readDrop } from "./views/drop";
import { GraphView } from "./views/graph";
import { JsonView } from "./views/json";
import { LayoutView } from "./views/layout";
import { PictureView } from "./views/picture";
import { Sentence } from "./views/sentence";
import { SketchView } from "./views/sketch";

export function App() {
  const wide = useWide();
  const shown = wide && !isWorkspace(view.value) ? "graph" : view.value;
  return (
    <div class={`app ${wide ? "wide" : "narrow"}`} onDragOver={(event) => event.preventDefault()} onDrop={drop}>
      <TopBar />
      {away.value && (
        <p class="away" role="status">
          <Icon name="warning" />
          The service is away. Everything you do is kept; pictures follow when it is back.
        </p>
      )}
      <Sentence />
      <main>
        {(wide || shown === "objects") && (
          <aside class="side">
            <ObjectsPanel />
            <Drawers />
          </aside>
        )}
        {(wide || isWorkspace(shown)) && (
          <section class="workspace" aria-label="Workspace">
            {wide && <Tabs shown={shown} views={WORKSPACES} />}
            <div class="panel" role="tabpanel" id="panel" aria-labelledby={`tab-${shown}`}>
              <Workspace shown={shown} />
              {!wide && picture.value && shown === "graph" && (
                <img class="peek" src={picture.value.url} alt="" onClick={() => (view.value = "picture")} />
              )}
            </div>
          </section>
        )}
        {(wide || shown === "picture") && <PictureView />}
      </main>
      {!wide && (
        <nav aria-label="Views">
          <Tabs shown={shown} views={["picture", ...WORKSPACES, "objects"]} />
        </nav>
      )}
      <Notices />
      {shortcutsOpen.value && <Shortcuts />}
      <p class="unseen" role="status" aria-live="polite">
        {spoken.value}
      </p>
    </div>
  );
}

const isWorkspace = (shown: View): boolean => (WORKSPACES as readonly View[]).includes(shown);

/** Whether all panels fit beside each other. */
function useWide(): boolean {
  const [wide, setWide] = useState(() => matchMedia("(min-width: 900px)").matches);
  useEffect(() => {
    const query = matchMedia("(min-width: 900px)");
    const change = () => setWide(query.matches);
    query.addEventListener("change", change);
    return () => query.removeEventListener("change", change);
  }, []);
  return wide;
}

function Workspace({ shown }: { shown: View }) {
  switch (shown) {
    case "layout":
      return <LayoutView />;
    case "sketch":
      return <SketchView />;
    case "json":
      return <JsonView />;
    default:
      return <GraphView />;
  }
}

function TopBar() {
  const { past, future } = history.value;
  return (
    <header class="top">
      <h1>
        <Logo />
        <span>Scenograph</span>
      </h1>
      <div class="row">
        <Button
          icon="undo"
          label={past.length ? `Undo: ${past.at(-1)!.label}` : "Nothing to undo"}
          shortcut="Ctrl Z"
          disabled={!past.length}
          onClick={undo}
        />
        <Button
          icon="redo"
          label={future.length ? `Redo: ${future[0]!.label}` : "Nothing to redo"}
          shortcut="Ctrl Shift Z"
          disabled={!future.length}
          onClick={redo}
        />
      </div>
      <span class="space" />
      <div class="row">
        <Menu
          label="Begin with"
          icon="plus"
          items={[
            ...EXAMPLES.map((example) => ({
              label: example.title,
              icon: <Miniature scene={example.scene} />,
              run: () => begin(example),
            })),
            { label: "Empty scene", icon: <Miniature scene={NOTHING.scene} />, run: () => begin(NOTHING) },
          ]}
        >
          New
        </Menu>
        <Button icon="open" label="Open a scene or a picture" shortcut="Ctrl O" onClick={chooseFile} />
        <Menu label="Save" icon="save" items={exportItems()} />
        <Button icon="share" label="Copy a link to this scene" onClick={() => void share()} />
        <Button
          icon={theme.value === "dark" ? "sun" : "moon"}
          label={theme.value === "dark" ? "Light colours" : "Dark colours"}
          onClick={toggleTheme}
        />
        <Button icon="help" label="Keyboard shortcuts" shortcut="?" onClick={() => (shortcutsOpen.value = true)} />
      </div>
    </header>
  );
}

function Logo() {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
      <path class="edges" d="M8 11v12M8 11l8 6 8-7v13M6 23h20" />
      <circle class="one" cx="8" cy="10" r="3" />
      <circle class="two" cx="16" cy="17" r="3" />
      <circle class="three" cx="24" cy="9.500" r="3" />
    </svg>
  );
}

/** The boxes of a scene, small. */
function Miniature({ scene }: { scene: Scene }) {
  return (
    <svg class="miniature" viewBox="0 0 1 1" aria-hidden="true">
      {scene.objects.map(
        ({ box }, number) =>
          box && (
            <rect
              key={number}
              class={`hue-${(number + 1) % 8}`}
              x={box[0]}
              y={box[1]}
              width={box[2] - box[0]}
              height={box[3] - box[1]}
            />
          ),
      )}
    </svg>
  );
}

const TABS: Record<View, { label: string; icon: IconName }> = {
  picture: { label: "Picture", icon: "picture" },
  graph: { label: "Graph", icon: "graph" },
  layout: { label: "Layout", icon: "layout" },
  sketch: { label: "Sketch", icon: "pen" },
  json: { label: "JSON", icon: "json" },
  objects: { label: "Objects", icon: "list" },
};

function Tabs({ shown, views }: { shown: View; views: readonly View[] }) {
  const move = (event: KeyboardEvent & { currentTarget: HTMLDivElement }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = views[(views.indexOf(shown) + step + views.length) % views.length]!;
    view.value = next;
    event.currentTarget.querySelector<HTMLElement>(`#tab-${next}`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label="Views" onKeyDown={move}>
      {views.map((one) => (
        <button
          key={one}
          type="button"
          role="tab"
          id={`tab-${one}`}
          aria-selected={one === shown}
          aria-controls={one === shown && isWorkspace(one) ? "panel" : undefined}
          tabIndex={one === shown ? 0 : -1}
          onClick={() => (view.value = one)}
        >
          <Icon name={TABS[one].icon} />
          <span>{TABS[one].label}</span>
        </button>
      ))}
      {views === WORKSPACES && <Count />}
    </div>
  );
}

function Count() {
  const { things, links } = document_.value;
  const count = (number: number, name: string) => `${number} ${name}${number === 1 ? "" : "s"}`;
  return (
    <small class="count" role="presentation">
      {count(things.length, "object")}, {count(links.length, "relation")}
    </small>
  );
}

function Notices() {
  return (
    <div class="notices" aria-live="polite">
      {notices.value.map(({ id, text, kind }) => (
        <div key={id} class={`notice ${kind}`}>
          <p>{text}</p>
          <Button icon="close" label="Dismiss" onClick={() => dismiss(id)} />
        </div>
      ))}
    </div>
  );
}

/** Takes files anywhere, and what comes from the drawers where no canvas says a place for it. */
function drop(event: DragEvent): void {
  if (event.defaultPrevented) return;
  const file = event.dataTransfer?.files[0];
  if (!file) return readDrop(event, [0.5, 0.5]);
  event.preventDefault();
  void openFile(file);
}
