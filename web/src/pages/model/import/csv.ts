// Tables as text (RFC 4180): commas, semicolons or tabs, quotes, line breaks within cells. Pure.

export interface Table {
  header: string[];
  rows: string[][];
  /** For each row its number in a spreadsheet; the header is 1. */
  numbers: number[];
  delimiter: string;
}

export class MalformedCsv extends Error {}

const DELIMITERS = [",", ";", "\t"] as const;

/** Whether a name of a column is known, however it is written. */
export type Known = (name: string) => boolean;

/**
 * Read a table; the delimiter is the one that gives the most known columns, else the most columns.
 * Rows without content are left out, short ones filled up.
 */
export function readCsv(given: string, known: Known = () => false): Table {
  const whole = given.replace(/^\uFEFF/, "");
  const told = /^sep=(.)(?:\r\n|\r|\n)/i.exec(whole); // a line for spreadsheets only
  const text = told ? whole.slice(told[0].length) : whole;
  if (!text.trim()) throw new MalformedCsv("empty");
  const delimiter = told?.[1] ?? delimiterOf(text, known);
  const [header = [], ...rows] = records(text, delimiter);
  const filled = rows
    .map((row, place) => ({ row, number: place + (told ? 3 : 2) }))
    .filter(({ row }) => row.some((cell) => cell.trim()));
  return {
    header: header.map((name) => name.trim()),
    rows: filled.map(({ row }) => [...row, ...Array<string>(Math.max(0, header.length - row.length)).fill("")]),
    numbers: filled.map(({ number }) => number),
    delimiter,
  };
}

function delimiterOf(text: string, known: Known): string {
  let best = { rank: -1, columns: 0, delimiter: "," };
  let failed: MalformedCsv | null = null;
  for (const delimiter of DELIMITERS) {
    try {
      const names = records(text, delimiter, 1)[0] ?? [];
      const rank = names.filter(known).length * 10_000 + names.length;
      if (rank > best.rank) best = { rank, columns: names.length, delimiter };
    } catch (error) {
      if (!(error instanceof MalformedCsv)) throw error;
      failed = error; // with another one it may be a table
    }
  }
  if (failed && best.columns <= 1) throw failed;
  return best.delimiter;
}

/** The records of a text; with `most`, only so many. */
function records(text: string, delimiter: string, most = Infinity): string[][] {
  const found: string[][] = [];
  let row: string[] = [];
  let at = 0;
  while (at < text.length && found.length < most) {
    const cell = text[at] === '"' ? quoted(text, at) : plain(text, at, delimiter);
    row.push(cell.value);
    at = cell.end;
    if (text[at] === delimiter) {
      at++;
      if (at === text.length) row.push("");
      else continue;
    }
    if (text[at] === "\r" && text[at + 1] === "\n") at += 2;
    else if (text[at] === "\r" || text[at] === "\n") at++;
    else if (at < text.length) throw new MalformedCsv(`${found.length + 1}`);
    found.push(row);
    row = [];
  }
  return found;
}

function plain(text: string, start: number, delimiter: string): { value: string; end: number } {
  let end = start;
  while (end < text.length && text[end] !== delimiter && text[end] !== "\n" && text[end] !== "\r") end++;
  return { value: text.slice(start, end), end };
}

function quoted(text: string, start: number): { value: string; end: number } {
  let end = start + 1;
  for (;;) {
    const quote = text.indexOf('"', end);
    if (quote < 0) throw new MalformedCsv("quote");
    if (text[quote + 1] !== '"') return { value: text.slice(start + 1, quote).replaceAll('""', '"'), end: quote + 1 };
    end = quote + 2;
  }
}

const cellText = (cell: string): string => (/[",;\t\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);

/** The table with commas, one record a line. */
export function writeCsv(header: readonly string[], rows: readonly (readonly string[])[]): string {
  return [header, ...rows].map((row) => `${row.map(cellText).join(",")}\r\n`).join("");
}

/** The line of the written table in which each row begins; the header is line 1. */
export function linesOf(header: readonly string[], rows: readonly (readonly string[])[]): number[] {
  const breaks = (row: readonly string[]): number =>
    row.reduce((count, cell) => count + (cell.match(/\r\n|\r|\n/g)?.length ?? 0), 1);
  let line = 1 + breaks(header);
  return rows.map((row) => {
    const start = line;
    line += breaks(row);
    return start;
  });
}
