import { translator } from "../../i18n/i18n";
import { href } from "../../routes";
import { Tabs } from "../../ui/tabs";
import type { PageProps } from "../pages";
import { Audit } from "./audit";
import { Events } from "./events";
import "./page.css";
import { words } from "./words";

const t = translator(words);

export default function LogPage({ route }: PageProps) {
  const audit = route.rest[0] === "audit";
  return (
    <>
      <h1>{t("log")}</h1>
      <Tabs
        label={t("log")}
        current={audit ? "audit" : "events"}
        tabs={[
          { name: "events", text: t("events"), href: href("log") },
          { name: "audit", text: t("audit"), href: href("log", ["audit"]) },
        ]}
      />
      {audit ? <Audit query={route.query} /> : <Events query={route.query} />}
    </>
  );
}
