// "Copy as curl": every action of the pages as a command.
import type { Request } from "../api/client";
import { curlOf } from "../api/curl";
import { translator } from "../i18n/i18n";
import { copyText } from "./copy";
import { toast } from "./toast";
import { words } from "./words";

const t = translator(words);

/** `request` is made when the button is pressed, so that it holds what the form holds then; several give a line each. */
export function CurlButton({ request }: { request: () => Request | Request[] }) {
  return (
    <button
      type="button"
      class="button quiet small"
      onClick={() => {
        const text = [request()].flat().map((one) => curlOf(one)).join("\n");
        void copyText(text).then(() => toast(t("copied")));
      }}
    >
      {t("copyCurl")}
    </button>
  );
}
