// Language, theme, time zone, and signing out.
import { useEffect, useRef, useState } from "preact/hooks";
import { language, setLanguage, translator, type Language } from "../i18n/i18n";
import { me, signedIn } from "../state/session";
import { applyTheme, theme, type Theme } from "../state/theme";
import { setZone, zone, type Zone } from "../state/time";
import { forgetToken } from "../state/token";
import { words } from "./words";

const t = translator(words);

export function SettingsMenu() {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return undefined;
    const close = (event: Event): void => {
      const escape = event instanceof KeyboardEvent && event.key === "Escape";
      if (escape || (event.target instanceof Node && !root.current?.contains(event.target))) setOpen(false);
    };
    const leave = (): void => setOpen(false);
    addEventListener("pointerdown", close);
    addEventListener("keydown", close);
    addEventListener("hashchange", leave);
    return () => {
      removeEventListener("hashchange", leave);
      removeEventListener("pointerdown", close);
      removeEventListener("keydown", close);
    };
  }, [open]);
  return (
    <div class="menu" ref={root}>
      <button type="button" class="button quiet" aria-expanded={open} aria-label={t("settings")} onClick={() => setOpen(!open)}>
        <span aria-hidden="true">⚙</span>
      </button>
      {open && (
        <div class="panel">
          <Choice label={t("language")} value={language.value} options={[["en", "English"], ["zh", "中文"]]} choose={(value) => setLanguage(value as Language)} />
          <Choice label={t("theme")} value={theme.value} options={[["auto", t("auto")], ["light", t("light")], ["dark", t("dark")]]} choose={(value) => applyTheme(value as Theme)} />
          <Choice label={t("zone")} value={zone.value} options={[["local", t("local")], ["utc", t("utc")]]} choose={(value) => setZone(value as Zone)} />
          {signedIn.value && me.value && (
            <>
              <span class="muted">{t("signedInAs", { name: me.value.name, scope: me.value.scope })}</span>
              <button type="button" class="button" onClick={() => { forgetToken(); location.reload(); }}>{t("signOut")}</button>
            </>
          )}
        </div>
      )}
    </div>
  );
}

interface ChoiceProps {
  label: string;
  value: string;
  options: [value: string, text: string][];
  choose: (value: string) => void;
}

function Choice({ label, value, options, choose }: ChoiceProps) {
  return (
    <label class="field">
      <span class="label">{label}</span>
      <select value={value} onChange={(event) => choose(event.currentTarget.value)}>
        {options.map(([key, text]) => <option key={key} value={key}>{text}</option>)}
      </select>
    </label>
  );
}
