// What the server says of a table, put to the rows and cells of the table. Pure.
import type { FieldProblem } from "../../../api/types";

export interface Located {
  /** Row of the table -> column -> what is wrong; column "" is the whole row. */
  cells: ReadonlyMap<number, ReadonlyMap<string, string>>;
  /** What belongs to no row: the header, the document. */
  others: FieldProblem[];
}

/** `lines`: in which line of the sent text each row begins. */
export function located(problems: readonly FieldProblem[], lines: readonly number[], header: readonly string[]): Located {
  const rowOf = new Map(lines.map((line, row) => [line, row]));
  const names = new Set(header);
  const cells = new Map<number, Map<string, string>>();
  const others: FieldProblem[] = [];
  for (const problem of problems) {
    const row = rowOf.get(problem.row ?? -1);
    if (row === undefined) {
      others.push(problem);
      continue;
    }
    let found = cells.get(row);
    if (!found) cells.set(row, (found = new Map<string, string>()));
    const column = problem.column !== undefined && names.has(problem.column) ? problem.column : "";
    const message = column === "" && problem.column ? `${problem.column}: ${problem.message}` : problem.message;
    const before = found.get(column);
    found.set(column, before === undefined ? message : `${before}; ${message}`);
  }
  return { cells, others };
}
