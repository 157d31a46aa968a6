// The export of a list: everything that fits the filters, up to a limit, not only what is loaded.
import { Problem } from "../../api/client";
import { translator } from "../../i18n/i18n";
import { saveText } from "../../ui/copy";
import { readPage } from "../../ui/paged";
import { toast } from "../../ui/toast";
import { words } from "./words";

const t = translator(words);
/** Entries that one request may ask for. */
export const EXPORTED = 10_000;

export async function saveList<T>(name: string, path: string, fits: (row: T) => boolean, csv: (rows: T[]) => string): Promise<void> {
  try {
    const { rows, next } = await readPage<T>(path);
    saveText(name, csv(rows.filter(fits)), "text/csv");
    if (next) toast(t("exporting"));
  } catch (error) {
    toast(error instanceof Problem ? error.message : String(error));
  }
}
