import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/app.css";
import "./styles/views.css";

import { render } from "preact";

import { App } from "./app";
import { EXAMPLES } from "./examples";
import { keepStored, stored } from "./io/autosave";
import { fromFragment } from "./io/share";
import { followKeyboard } from "./keyboard";
import { follow } from "./live";
import { EMPTY, replaceScene, unpinned } from "./model/document";
import { beginWith, notify, open } from "./state";
import { followTheme } from "./theme";
import { forgetWidths } from "./ui/text-width";

followTheme();
open((await stored()) ?? unpinned(replaceScene(EMPTY, EXAMPLES[0]!.scene)));
await openLink();
addEventListener("hashchange", () => void openLink());
await document.fonts.load('500 14px "Inter Variable"').catch(() => undefined);
forgetWidths();
render(<App />, document.getElementById("page")!);
keepStored();
followKeyboard();
follow();

/** Opens the scene of a link, which an undo takes back. */
async function openLink(): Promise<void> {
  try {
    const change = await fromFragment(location.hash);
    if (!change) return;
    beginWith("Open the link", change);
    history.replaceState(null, "", location.pathname + location.search);
  } catch (error) {
    notify(error instanceof Error ? error.message : String(error), "error");
  }
}
