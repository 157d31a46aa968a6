// A field that names another object: what begins to fit is offered while one types.
import { useId } from "preact/hooks";
import { points } from "../../state/plant";
import { model } from "./store";

export type Referred = "device" | "term" | "item" | "point";

const MOST = 60;
const KINDS: Record<string, Referred> = { device_id: "device", term_id: "term", item_id: "item" };

/** What a field of this name refers to; null for nothing. */
export const referred = (name: string): Referred | null => KINDS[name] ?? null;

/** Ids that fit, with the names of what they are. */
function offered(kind: Referred, text: string): [id: string, name: string][] {
  const known = model.value;
  const wanted = text.toLowerCase();
  const table: ReadonlyMap<string, { name?: unknown }> =
    kind === "point" ? points.value : kind === "device" ? known.devices : kind === "term" ? known.terms : known.items;
  const found: [string, string][] = [];
  for (const [id, object] of table) {
    const name = typeof object.name === "string" ? object.name : "";
    if (wanted && !id.toLowerCase().includes(wanted) && !name.toLowerCase().includes(wanted)) continue;
    found.push([id, name]);
    if (found.length === MOST) break;
  }
  return found;
}

interface ReferenceProps {
  kind: Referred;
  value: string;
  set: (text: string) => void;
  id?: string;
  placeholder?: string;
  "aria-label"?: string;
  "aria-describedby"?: string | undefined;
  "aria-invalid"?: boolean;
  "aria-required"?: boolean;
}

export function Reference({ kind, value, set, ...rest }: ReferenceProps) {
  const list = useId();
  return (
    <>
      <input
        {...rest}
        type="text"
        list={list}
        autocomplete="off"
        spellcheck={false}
        value={value}
        onInput={(event) => set(event.currentTarget.value)}
      />
      <datalist id={list}>
        {offered(kind, value).map(([id, name]) => <option key={id} value={id}>{name}</option>)}
      </datalist>
    </>
  );
}
