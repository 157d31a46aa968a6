// Texts at the time axis: as fine as the distance between them, with the day where it changes. Pure.

export interface Clock {
  /** `2026-11-21` */
  day: (seconds: number) => string;
  /** `14:03:22` */
  clock: (seconds: number) => string;
}

export function tickTexts(times: readonly number[], step: number, { day, clock }: Clock): string[] {
  let before = "";
  return times.map((seconds) => {
    const date = day(seconds);
    const changed = date !== before;
    before = date;
    if (step >= 86_400) return date;
    let text = clock(seconds);
    if (step >= 60) text = text.slice(0, 5);
    else if (step < 1) text += (seconds % 1).toFixed(3).slice(1);
    return changed ? `${text}\n${date}` : text;
  });
}
