import { categoryOf, kinds } from "../live";
import { add } from "../model/edits";
import { insert } from "../state";
import { Combobox } from "../ui/combobox";

export function AddObject() {
  return (
    <Combobox
      label="Add an object"
      placeholder="Add an object…"
      options={kinds.value}
      onPick={(name) => insert(`Add ${name}`, add({ category: categoryOf(name) }))}
    />
  );
}
