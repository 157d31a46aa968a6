// Chooses points: up to eight, found by name, device or unit.
import { useState } from "preact/hooks";
import { translator } from "../../i18n/i18n";
import { points } from "../../state/plant";
import { Dialog } from "../../ui/dialog";
import { MOST_ITEMS } from "./view";
import { words } from "./words";

const t = translator(words);
const MOST_SHOWN = 200;

interface PickerProps {
  chosen: readonly string[];
  choose: (ids: string[]) => void;
  onClose: () => void;
}

export function Picker({ chosen, choose, onClose }: PickerProps) {
  const [text, setText] = useState("");
  const parts = text.toLowerCase().split(/\s+/).filter(Boolean);
  const found: [string, string][] = [];
  for (const [id, point] of points.value) {
    const within = `${id} ${point.name} ${point.unit}`.toLowerCase();
    if (parts.every((part) => within.includes(part))) found.push([id, `${point.name || point.item_id} ${point.unit && `[${point.unit}]`}`]);
    if (found.length >= MOST_SHOWN) break;
  }
  found.sort((a, b) => Number(chosen.includes(b[0])) - Number(chosen.includes(a[0])));
  const full = chosen.length >= MOST_ITEMS;
  return (
    <Dialog title={t("pick")} onClose={onClose}>
      <input
        type="search"
        aria-label={t("find")}
        placeholder={t("find")}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      {full && <p class="muted" role="status">{t("full")}</p>}
      <ul class="trend-picker">
        {found.map(([id, name]) => (
          <li key={id}>
            <label class="check">
              <input
                type="checkbox"
                checked={chosen.includes(id)}
                disabled={full && !chosen.includes(id)}
                onChange={(event) =>
                  choose(event.currentTarget.checked ? [...chosen, id] : chosen.filter((one) => one !== id))
                }
              />
              <span>{name} <span class="muted mono">{id}</span></span>
            </label>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}
