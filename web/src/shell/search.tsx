// Search from anywhere: devices, points and pages. The key `/` opens it.
import { useEffect, useRef, useState } from "preact/hooks";
import { translator } from "../i18n/i18n";
import { go, href } from "../routes";
import { devices, points } from "../state/plant";
import { Dialog } from "../ui/dialog";
import { findIn, type Hit } from "./find";
import { words } from "./words";

const t = translator(words);

export function Search() {
  const [open, setOpen] = useState(false);
  useEffect(() => {
    const listen = (event: KeyboardEvent): void => {
      const typing = event.target instanceof HTMLElement && event.target.closest("input, textarea, select, dialog");
      if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
        event.preventDefault();
        setOpen(true);
      }
    };
    addEventListener("keydown", listen);
    return () => removeEventListener("keydown", listen);
  }, []);
  return (
    <>
      <button type="button" class="button quiet" onClick={() => setOpen(true)} aria-keyshortcuts="/">
        <span aria-hidden="true">⌕</span> {t("search")}
      </button>
      {open && <SearchDialog onClose={() => setOpen(false)} />}
    </>
  );
}

function SearchDialog({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState(0);
  const pages: Hit[] = ["overview", "trend", "alarms", "model", "log", "api"].map((name) => ({
    kind: "page",
    title: t(name as "trend"),
    detail: "",
    href: href(name === "overview" ? "" : name),
  }));
  const hits = findIn(text, pages, devices.value, points.value);
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" }), [chosen, text]);
  const open = (hit: Hit | undefined): void => {
    if (!hit) return;
    onClose();
    go(hit.href);
  };
  return (
    <Dialog title={t("search")} onClose={onClose}>
      <input
        type="text"
        role="combobox"
        list={undefined}
        aria-expanded="true"
        aria-controls="search-results"
        aria-activedescendant={hits[chosen] ? `hit-${chosen}` : undefined}
        aria-label={t("searchHint")}
        placeholder={t("searchHint")}
        value={text}
        autofocus
        onInput={(event) => {
          setText(event.currentTarget.value);
          setChosen(0);
        }}
        onKeyDown={(event) => {
          if (event.key === "ArrowDown") setChosen(Math.min(chosen + 1, hits.length - 1));
          else if (event.key === "ArrowUp") setChosen(Math.max(chosen - 1, 0));
          else if (event.key === "Enter") open(hits[chosen]);
          else return;
          event.preventDefault();
        }}
      />
      <ul ref={list} class="search-results" id="search-results" role="listbox" aria-label={t("search")}>
        {hits.map((hit, index) => (
          <li key={hit.href} role="presentation">
            <a
              id={`hit-${index}`}
              href={hit.href}
              role="option"
              aria-selected={index === chosen}
              onClick={onClose}
            >
              <span>{hit.title}</span>
              <span class="muted">{hit.detail || t(hit.kind)}</span>
            </a>
          </li>
        ))}
      </ul>
      {text && !hits.length && <p class="muted">{t("noMatch")}</p>}
    </Dialog>
  );
}
