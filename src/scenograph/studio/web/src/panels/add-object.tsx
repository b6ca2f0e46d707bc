import { vocabulary } from "../live";
import { add } from "../model/edits";
import { document_, edit, select } from "../state";
import { Combobox } from "../ui/combobox";

export function AddObject() {
  return (
    <Combobox
      label="Add an object"
      placeholder="Add an object…"
      options={vocabulary.value?.categories ?? []}
      onPick={(category) => {
        const id = document_.value.next;
        edit(`Add ${category}`, add({ category }));
        select(id);
      }}
    />
  );
}
