import { translator } from "../../i18n/i18n";
import { href } from "../../routes";
import { Tabs } from "../../ui/tabs";
import type { PageProps } from "../pages";
import { AlarmHistory } from "./history";
import { LiveAlarms } from "./live";
import "./page.css";
import { words } from "./words";

const t = translator(words);

export default function AlarmsPage({ route }: PageProps) {
  const past = route.rest[0] === "history";
  return (
    <>
      <h1>{t("alarms")}</h1>
      <Tabs
        label={t("alarms")}
        current={past ? "history" : "now"}
        tabs={[
          { name: "now", text: t("now"), href: href("alarms") },
          { name: "history", text: t("history"), href: href("alarms", ["history"]) },
        ]}
      />
      {past ? <AlarmHistory query={route.query} /> : <LiveAlarms query={route.query} />}
    </>
  );
}
