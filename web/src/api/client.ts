// Requests to the API of this server: JSON in, JSON out, problems (RFC 9457) as exceptions.
import type { FieldProblem } from "./types";
import { forgetToken, token } from "../state/token";

/** What the server says when it does not do what was asked; status 0: it was not reached at all. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly errors: FieldProblem[] = [],
    readonly body: unknown = null,
  ) {
    super(message);
  }
}

export interface Request {
  method: string;
  /** Path with query, beginning with `/`. */
  path: string;
  body?: unknown;
  /** Sent as it is, for instance a file; `body` is JSON otherwise. */
  raw?: BodyInit;
  /** Name of the file that `raw` holds, for the curl command. */
  file?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** Sent even when the page is left at this moment. */
  keepalive?: boolean;
}

export async function send(request: Request): Promise<Response> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (token.peek()) headers["Authorization"] = `Bearer ${token.peek()}`;
  Object.assign(headers, request.headers);
  const init: RequestInit = { method: request.method, headers, cache: "no-store" };
  if (request.signal) init.signal = request.signal;
  if (request.keepalive) init.keepalive = true;
  if (request.raw !== undefined) init.body = request.raw;
  else if (request.body !== undefined) {
    headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(request.body);
  }
  let response: Response;
  try {
    response = await fetch(request.path, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, "the server does not answer");
  }
  if (response.ok) return response;
  if (response.status === 401) forgetToken();
  throw await problemOf(response);
}

async function problemOf(response: Response): Promise<Problem> {
  const text = await response.text();
  try {
    const body = JSON.parse(text) as { detail?: string; title?: string; errors?: FieldProblem[] };
    return new Problem(response.status, body.detail ?? body.title ?? response.statusText, body.errors ?? [], body);
  } catch {
    return new Problem(response.status, text.slice(0, 200) || response.statusText);
  }
}

export async function call<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const request: Request = { method, path };
  if (body !== undefined) request.body = body;
  if (signal) request.signal = signal;
  const response = await send(request);
  const text = await response.text();
  return (text ? JSON.parse(text) : null) as T;
}

export const get = <T>(path: string, signal?: AbortSignal): Promise<T> => call<T>("GET", path, undefined, signal);
export const post = <T>(path: string, body: unknown = {}): Promise<T> => call<T>("POST", path, body);

/** A path with a query: `withQuery("/api/v2/history", { limit: 5 })`; undefined and "" are left out. */
export function withQuery(path: string, query: Record<string, string | number | boolean | undefined>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    if (value !== undefined && value !== "") search.set(name, String(value));
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}
