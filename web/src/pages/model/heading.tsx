// The head of an object: what it is, where it belongs, what can be made of it.
import type { Kind, ModelObject } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { href } from "../../routes";
import { may } from "../../state/session";
import { model } from "./store";
import { words } from "./words";

const t = translator(words);

interface HeadingProps {
  kind: Kind;
  objectKey: string[];
  object: ModelObject;
  onDelete?: () => void;
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");

/** What is above an object, from the device on. */
function aboveOf(kind: Kind, object: ModelObject): { kind: Kind; key: string[]; title: string }[] {
  const { terms, devices } = model.value;
  const term = kind === "term_item" ? terms.get(text(object["term_id"])) : undefined;
  const deviceId = kind === "term" ? text(object["device_id"]) : text(term?.["device_id"]);
  const device = devices.get(deviceId);
  return [
    ...(device ? [{ kind: "device" as const, key: [device.id], title: device.name || device.id }] : []),
    ...(term ? [{ kind: "term" as const, key: [text(term["id"])], title: text(term["name"]) || text(term["id"]) }] : []),
  ];
}

function nameOf(kind: Kind, object: ModelObject): string {
  if (kind === "term_item") return text(model.value.items.get(text(object["item_id"]))?.["name"]) || text(object["item_id"]);
  return text(object["name"]) || text(object["id"]);
}

export function Heading({ kind, objectKey, object, onDelete }: HeadingProps) {
  const [first = "", second = ""] = objectKey;
  const above = aboveOf(kind, object);
  const deviceId = kind === "device" ? first : above[0]?.key[0] ?? "";
  const find = kind === "term_item" ? `${deviceId}:${first}:${second}` : "";
  return (
    <div class="stack">
      {above.length > 0 && (
        <nav class="row model-above" aria-label={t("model")}>
          {above.map((one) => <a key={one.kind} href={href("model", [one.kind, ...one.key])}>{one.title} ›</a>)}
        </nav>
      )}
      <div class="row spread">
        <h2 class="wrap-anywhere">
          {nameOf(kind, object)} <span class="muted">{t(kind)}</span>
        </h2>
        <div class="row">
          {deviceId && <a class="button small" href={href("device", [deviceId], { find })}>{t("open")}</a>}
          {may("admin") && kind === "device" && (
            <>
              <a class="button small" href={href("model", ["new", "term"], { device_id: first })}>{t("newTerm")}</a>
              {object["protocol"] === "iec104" && (
                <a class="button small" href={href("model", ["import"], { from: first })}>{t("discovered")}</a>
              )}
              <a class="button small" href={href("model", ["clone", first])}>{t("clone")}</a>
            </>
          )}
          {may("admin") && kind === "term" && (
            <a class="button small" href={href("model", ["new", "term_item"], { term_id: first })}>{t("newPoint")}</a>
          )}
          {onDelete && <button type="button" class="button small danger" onClick={onDelete}>{t("delete")}</button>}
        </div>
      </div>
    </div>
  );
}
