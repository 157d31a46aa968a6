// One operation: a line, that opens to its form.
import { useEffect, useRef, useState } from "preact/hooks";
import { translator } from "../../i18n/i18n";
import type { Scope } from "../../api/types";
import { may } from "../../state/session";
import { isSocket, membersOf, type Document, type Operation } from "./openapi";
import { Try } from "./try";
import { words } from "./words";

const t = translator(words);

interface OperationProps {
  document: Document;
  operation: Operation;
  /** Whether the address names it: opened and in view. */
  wanted: boolean;
}

export function OperationView({ document, operation, wanted }: OperationProps) {
  const [open, setOpen] = useState(wanted);
  const element = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    if (!wanted) return;
    setOpen(true);
    element.current?.scrollIntoView({ block: "start" });
  }, [wanted]);
  const { method, path, summary, scope } = operation;
  const allowed = !scope || may(scope as Scope);
  return (
    <details class="api-operation" ref={element} open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <span class={`api-method ${method === "GET" ? "" : "writes"}`}>{method}</span>
        <code class="wrap-anywhere">{path}</code>
        <span class="api-summary">{summary}</span>
      </summary>
      {open && (
        <div class="api-body">
          {operation.description && <p>{operation.description}</p>}
          <p class="muted">{scope ? t("needs", { scope }) : t("open")}</p>
          {isSocket(operation) ? <p class="notice">{t("socket")}</p>
            : allowed ? <Try document={document} operation={operation} />
            : <p class="notice">{t("notAllowed", { scope })}</p>}
          <Members document={document} operation={operation} />
          <details>
            <summary>{t("answers")}</summary>
            <table class="api-table">
              <tbody>{operation.answers.map(({ status, description }) => <tr key={status}><td class="mono">{status}</td><td>{description}</td></tr>)}</tbody>
            </table>
          </details>
        </div>
      )}
    </details>
  );
}

function Members({ document, operation }: { document: Document; operation: Operation }) {
  const body = Object.values(operation.bodies)[0];
  const members = body ? membersOf(document, body) : [];
  if (!members.length) return null;
  return (
    <details>
      <summary>{t("members")}</summary>
      <div class="scroll-x">
        <table class="api-table">
          <thead><tr><th>{t("member")}</th><th>{t("type")}</th><th>{t("description")}</th></tr></thead>
          <tbody>
            {members.map(({ name, type, required, description }) => (
              <tr key={name}>
                <td class="mono">{name}{required && <span class="muted"> {t("required")}</span>}</td>
                <td class="mono">{type}</td>
                <td>{description}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
