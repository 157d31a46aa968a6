// There is no archive, and what to do about it.
import { translator } from "../i18n/i18n";
import { words } from "./words";

const t = translator(words);

/** `meaning`: what follows from it where it is said. */
export function NoArchive({ meaning = "" }: { meaning?: string }) {
  return <p class="notice" role="status">{meaning} {t("noArchive")}</p>;
}
