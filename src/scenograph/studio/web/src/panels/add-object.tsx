import { vocabulary } from "../live";
import { add } from "../model/edits";
import { insert } from "../state";
import { Combobox } from "../ui/combobox";

export function AddObject() {
  return (
    <Combobox
      label="Add an object"
      placeholder="Add an object…"
      options={vocabulary.value?.categories ?? []}
      onPick={(category) => insert(`Add ${category}`, add({ category }))}
    />
  );
}
