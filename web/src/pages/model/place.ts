// Where in a text the mistake is, as the checks of formulas and rules say it. Pure.

export interface Mark {
  /** Line of the text, from 1, and its characters before, at and after the mistake. */
  line: number;
  before: string;
  at: string;
  after: string;
}

/** The place that a message like `line 2, column 9: ...` names; null when it names none. Columns count from 1. */
export function markOf(text: string, message: string): Mark | null {
  const found = /line (\d+), column (\d+)/.exec(message);
  if (!found) return null;
  const line = Number(found[1]);
  const place = Number(found[2]) - 1;
  const characters = [...(text.split(/\r\n|\r|\n/)[line - 1] ?? "")];
  return {
    line,
    before: characters.slice(0, place).join(""),
    at: characters[place] ?? " ",
    after: characters.slice(place + 1).join(""),
  };
}
