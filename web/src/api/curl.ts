// Any request as a curl command: what a page does can be done by a script, too.
import type { Request } from "./client";
import { token } from "../state/token";

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** The command; the token stands for itself as $PYDATACOLL_TOKEN, because commands end in histories and mails. */
export function curlOf(request: Request, origin: string = location.origin): string {
  const parts = ["curl"];
  if (request.method !== "GET") parts.push("-X", request.method);
  if (token.peek()) parts.push("-H", '"Authorization: Bearer $PYDATACOLL_TOKEN"');
  for (const [name, value] of Object.entries(request.headers ?? {})) parts.push("-H", quoted(`${name}: ${value}`));
  if (request.body !== undefined)
    parts.push("-H", quoted("Content-Type: application/json"), "-d", quoted(JSON.stringify(request.body)));
  if (request.file !== undefined) parts.push("--data-binary", quoted(`@${request.file}`));
  else if (typeof request.raw === "string") parts.push("--data-binary", quoted(request.raw));
  parts.push(quoted(origin + request.path));
  return parts.join(" ");
}
