// The explorer: what the service can do, to read and to try.
import { useMemo } from "preact/hooks";
import { get } from "../../api/client";
import { translator } from "../../i18n/i18n";
import { setQuery } from "../../routes";
import { Write } from "../../ui/filters";
import { Loading, ProblemNotice, useLoaded } from "../../ui/loading";
import type { PageProps } from "../pages";
import { groupsOf, type Document } from "./openapi";
import { OperationView } from "./operation";
import "./page.css";
import { words } from "./words";

const t = translator(words);

export default function ApiPage({ route }: PageProps) {
  const { data, problem, reload } = useLoaded((signal) => get<Document>("/openapi.json", signal), "openapi");
  const text = route.query.get("text") ?? "";
  const wanted = route.rest[0] ?? "";
  const groups = useMemo(() => (data ? groupsOf(data, text) : []), [data, text]);
  const count = groups.reduce((sum, { operations }) => sum + operations.length, 0);
  return (
    <>
      <h1>{t("api")}</h1>
      {data && <p>{t("about", { version: data.info.version })} <a href="/openapi.json">{t("document")}</a> · <a href="/docs">{t("docs")}</a></p>}
      <div class="filters">
        <Write label={t("search")} value={text} onChange={(next) => setQuery({ text: next })} placeholder={t("searchHint")} />
      </div>
      <ProblemNotice problem={problem} retry={reload} />
      {!data && !problem && <Loading />}
      {data && <p class="muted" role="status">{count ? t("operations", { count }) : t("noMatch")}</p>}
      {data &&
        groups.map((group) => (
          <section key={group.name} class="api-group">
            <h2>{group.name.replaceAll("_", " ")}{group.description && <span class="muted api-about"> {group.description}</span>}</h2>
            {group.operations.map((operation) => (
              <OperationView key={operation.id} document={data} operation={operation} wanted={operation.id === wanted} />
            ))}
          </section>
        ))}
    </>
  );
}
