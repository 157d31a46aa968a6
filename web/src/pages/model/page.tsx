// The model: a tree of devices, terms and points, items and formulas; the chosen one beside it.
import { useEffect, useState } from "preact/hooks";
import type { Kind } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { go, href, type Route } from "../../routes";
import { loaded } from "../../state/plant";
import { may } from "../../state/session";
import { Write } from "../../ui/filters";
import { Loading, ProblemNotice } from "../../ui/loading";
import { Tabs } from "../../ui/tabs";
import type { PageProps } from "../pages";
import { Bulk } from "./bulk_page";
import { Clone } from "./clone";
import { Create } from "./create";
import { Editor } from "./editor";
import { ExportDialog } from "./export";
import { ImportWizard } from "./import/wizard";
import "./page.css";
import { model, readAll, readProblem, ready, schemas, useModel } from "./store";
import { Tree } from "./tree_view";
import { rowId, type Tab } from "./tree";
import { words } from "./words";

const t = translator(words);

const KINDS = new Set<string>(["device", "term", "term_item", "item", "formula"]);
const isKind = (text: string | undefined): text is Kind => text !== undefined && KINDS.has(text);

/** The part of the tree in which an address is. */
function tabOf({ rest, query }: Route): Tab {
  const kind = rest[0] === "new" ? rest[1] : rest[0] ?? query.get("tab");
  return kind === "item" || kind === "formula" ? kind : "device";
}

export default function Page({ route }: PageProps) {
  useModel();
  const [exporting, setExporting] = useState(false);
  const [search, setSearch] = useState("");
  const { rest } = route;
  const [first = ""] = rest;
  const tab = tabOf(route);
  useEffect(() => setSearch(""), [tab]);
  if (!ready.value || !schemas.value || !loaded.value)
    return (
      <div class="model">
        <h1>{t("model")}</h1>
        {readProblem.value ? <ProblemNotice problem={readProblem.value} retry={readAll} /> : <Loading />}
      </div>
    );
  const admin = may("admin");
  if (first === "import" && admin) return <ImportWizard from={route.query.get("from") ?? ""} />;
  if (first === "bulk" && admin) {
    const kind = route.query.get("kind") === "device" ? "device" : "term_item";
    return (
      <div class="model">
        <a href={href("model")}>‹ {t("back")}</a>
        <Bulk kind={kind} setKind={(next) => go(href("model", ["bulk"], { kind: next }))} />
      </div>
    );
  }
  return (
    <div class="model">
      <div class="row spread">
        <h1>{t("model")}</h1>
        <div class="row">
          {admin && <a class="button" href={href("model", ["import"])}>{t("import")}</a>}
          {admin && <a class="button" href={href("model", ["bulk"])}>{t("bulk")}</a>}
          <button type="button" class="button" onClick={() => setExporting(true)}>{t("export")}</button>
        </div>
      </div>
      <ProblemNotice problem={readProblem.value} retry={readAll} />
      <div class={`model-body ${first ? "chosen" : ""}`}>
        <aside class="model-side" aria-label={t("model")}>
          <Tabs
            label={t("kinds")}
            current={tab}
            tabs={(["device", "item", "formula"] as const).map((name) => ({
              name, text: t(`${name}s`), href: href("model", [], { tab: name }),
            }))}
          />
          <Write label={t("search")} value={search} onChange={setSearch} />
          <SideTree tab={tab} search={search} current={isKind(first) ? rowId(first, rest.slice(1)) : ""} />
          {admin && <New tab={tab} />}
        </aside>
        <section class="model-detail-pane">
          {first && <Back tab={tab} />}
          <Chosen route={route} />
        </section>
      </div>
      {exporting && <ExportDialog onClose={() => setExporting(false)} />}
    </div>
  );
}

function SideTree({ tab, search, current }: { tab: Tab; search: string; current: string }) {
  const known = model.value;
  const size = { device: known.devices.size, item: known.items.size, formula: known.formulas.size }[tab];
  if (!size) return <p class="muted">{t(({ device: "emptyDevices", item: "emptyItems", formula: "emptyFormulas" } as const)[tab])}</p>;
  return <Tree key={tab} tab={tab} search={search} current={current} />;
}

function New({ tab }: { tab: Tab }) {
  const text = { device: "newDevice", item: "newItem", formula: "newFormula" } as const;
  return <div><a class="button" href={href("model", ["new", tab])}>{t(text[tab])}</a></div>;
}

/** On a phone the tree and the object follow one another. */
function Back({ tab }: { tab: Tab }) {
  return <a class="model-back" href={href("model", [], { tab })}>‹ {t("back")}</a>;
}

function Chosen({ route }: PageProps) {
  const [first, ...key] = route.rest;
  const admin = may("admin");
  if (first === "new" && isKind(key[0]) && admin)
    return <Create key={key[0]} kind={key[0]} preset={Object.fromEntries(route.query)} />;
  if (first === "clone" && key[0] && admin) return <Clone key={key[0]} id={key[0]} />;
  if (isKind(first) && key.length === (first === "term_item" ? 2 : 1))
    return <Editor key={`${first}/${key.join("/")}`} kind={first} objectKey={key} />;
  return (
    <div class="stack muted model-hint">
      <p>{t("choose")}</p>
      <p>{admin ? t("chooseNew") : t("readOnly")}</p>
    </div>
  );
}
