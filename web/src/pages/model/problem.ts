// What a failed request says: beside the fields as far as it names them, the rest as one text.
import { Problem } from "../../api/client";
import { saidOf } from "./said";

export interface Refusal {
  /** Field -> what is wrong with it. */
  fields: Record<string, string>;
  text: string;
}

export const NOTHING: Refusal = { fields: {}, text: "" };

/** `prefix`: of the names of fields, as `point.` of a probe. */
export function refusalOf(error: unknown, known: (field: string) => boolean, prefix = ""): Refusal {
  if (!(error instanceof Problem)) return { fields: {}, text: String(error) };
  const fields: Record<string, string> = {};
  let all = error.errors.length > 0;
  for (const { field: given, message: english } of error.errors) {
    const message = saidOf(english);
    const field = given.startsWith(prefix) ? given.slice(prefix.length) : given;
    if (!known(field)) all = false;
    else fields[field] = fields[field] === undefined ? message : `${fields[field]}; ${message}`;
  }
  return { fields, text: all ? "" : saidOf(error.message) };
}
