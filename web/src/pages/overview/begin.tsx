// What stands on the overview of an empty plant.
import { translator } from "../../i18n/i18n";
import { href } from "../../routes";
import { may } from "../../state/session";
import { words } from "./words";

const t = translator(words);

export function Begin() {
  return (
    <section class="card stack overview-begin">
      <h2>{t("beginTitle")}</h2>
      {may("admin") ? (
        <>
          <p>{t("beginHow")}</p>
          <ol>
            <li>{t("beginAdd")} <a href={href("model")}>{t("model")}</a>;</li>
            <li>{t("beginImport")}</li>
            <li>{t("beginDemo")}<br /><code class="wrap-anywhere">python -m pydatacoll.api_server --demo</code></li>
          </ol>
        </>
      ) : (
        <p>{t("beginRead")}</p>
      )}
    </section>
  );
}
