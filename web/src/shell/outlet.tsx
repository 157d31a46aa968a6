// Shows the page of the present address.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { translator } from "../i18n/i18n";
import { PAGES, type Page, type PageProps } from "../pages/pages";
import { route } from "../routes";
import { Loading, ProblemNotice } from "../ui/loading";
import { words } from "./words";

const t = translator(words);
const ready = new Map<string, ComponentType<PageProps>>();

export function Outlet() {
  const page = PAGES.find(({ name }) => name === route.value.page);
  return page ? <PageView key={page.name} page={page} /> : <p>{t("notFound")}</p>;
}

function PageView({ page }: { page: Page }) {
  const [, setTurn] = useState(0);
  const [problem, setProblem] = useState("");
  const load = (): void => {
    setProblem("");
    page.load().then(
      (module) => {
        ready.set(page.name, module.default);
        setTurn((turn) => turn + 1);
      },
      (error: unknown) => setProblem(String(error)), // after an update of the server the old parts are gone
    );
  };
  useEffect(() => {
    if (!ready.has(page.name)) load();
  }, [page]);
  const Shown = ready.get(page.name);
  if (Shown) return <Shown route={route.value} />;
  return problem ? <ProblemNotice problem={problem} retry={() => location.reload()} /> : <Loading />;
}
