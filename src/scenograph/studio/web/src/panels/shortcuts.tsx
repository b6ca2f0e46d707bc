import { GESTURES, SHORTCUTS, setSingleKeys, shortcutsOpen, singleKeys } from "../keyboard";
import { Dialog } from "../ui/dialog";

const GROUPS = ["Scene", "Objects", "Layout", "Views"] as const;

export function Shortcuts() {
  const rows = [...SHORTCUTS, ...GESTURES];
  return (
    <Dialog title="Keyboard shortcuts" onClose={() => (shortcutsOpen.value = false)}>
      <div class="shortcuts">
        {GROUPS.map((group) => (
          <section key={group}>
            <h3>{group}</h3>
            <dl>
              {rows
                .filter((one) => one.group === group)
                .map(({ shown, does }) => (
                  <div key={does}>
                    <dt>
                      {shown.split(" ").map((key) => (
                        <kbd key={key}>{key}</kbd>
                      ))}
                    </dt>
                    <dd>{does}</dd>
                  </div>
                ))}
            </dl>
          </section>
        ))}
      </div>
      <label class="check">
        <input
          type="checkbox"
          checked={singleKeys.value}
          onChange={(event) => setSingleKeys(event.currentTarget.checked)}
        />
        Single keys, such as S, work without Ctrl
      </label>
    </Dialog>
  );
}
