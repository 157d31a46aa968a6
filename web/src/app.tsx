// The frame around all pages: navigation, search, alarm banner, "values are frozen", sign-in.
import { translator } from "./i18n/i18n";
import { connected, frozen } from "./live/socket";
import { ControlOutlet } from "./control/open";
import { PAGES } from "./pages/pages";
import { href, route } from "./routes";
import { AlarmBanner } from "./shell/banner";
import { Outlet } from "./shell/outlet";
import { Search } from "./shell/search";
import { SettingsMenu } from "./shell/settings";
import { SignIn } from "./shell/signin";
import { words } from "./shell/words";
import { me } from "./state/session";
import { tokenWanted } from "./state/token";
import { Toasts } from "./ui/toast";

const t = translator(words);

export function App() {
  const lost = connected.value && frozen.value;
  return (
    <div class={`shell ${lost ? "frozen" : ""}`}>
      <button type="button" class="button skip" onClick={() => document.getElementById("content")?.focus()}>{t("skip")}</button>
      <header class="top">
        <a class="brand" href={href("")}>PyDataColl</a>
        <nav aria-label={t("navigation")}>
          {PAGES.filter((page) => page.inMenu).map(({ name }) => {
            const text = t(name === "" ? "overview" : (name as "trend"));
            return (
              <a key={name} href={href(name)} data-text={text} aria-current={route.value.page === name ? "page" : undefined}>
                {text}
              </a>
            );
          })}
        </nav>
        <div class="tools">
          {me.value && !tokenWanted.value && <Search />}
          <SettingsMenu />
        </div>
      </header>
      {lost && !tokenWanted.value && (
        <div class="frozen-bar" role="alert">
          <span aria-hidden="true">⚠</span> {t("frozen")} <span>{t("lastHeard")}</span>
        </div>
      )}
      {me.value && !tokenWanted.value && <AlarmBanner />}
      <main id="content" tabIndex={-1}>
        {tokenWanted.value ? <SignIn /> : me.value ? <Outlet /> : <p role="status">{t("starting")}</p>}
      </main>
      {!tokenWanted.value && <ControlOutlet />}
      <Toasts />
    </div>
  );
}
