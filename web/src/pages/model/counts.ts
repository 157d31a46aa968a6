// "1 device, 2 terms and 9 points" as the API counts them.
import type { KindCounts } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { words } from "./words";

const t = translator(words);
const KINDS = ["devices", "terms", "items", "term_items", "formulas"] as const;

export function countsText(counts: KindCounts): string {
  return KINDS.flatMap((kind) => {
    const count = counts[kind] ?? 0;
    if (count === 1) return [t(`one_${kind}`)];
    return count ? [t(`n_${kind}`, { count })] : [];
  }).join(", ");
}

export const total = (counts: KindCounts): number => KINDS.reduce((sum, kind) => sum + (counts[kind] ?? 0), 0);
