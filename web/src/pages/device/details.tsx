// Everything that is known of a device: its settings, where its values went, what its driver tells.
import type { ComponentChildren } from "preact";
import type { Accounting, Device, DeviceStatus } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { href } from "../../routes";
import { numberText } from "../../ui/number";
import { Loading } from "../../ui/loading";
import { Tree } from "./tree";
import { words } from "./words";

const t = translator(words);

function Section({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <section class="card stack device-section">
      <h2>{title}</h2>
      {children}
    </section>
  );
}

const FATES = ["stored", "unchanged", "rejected", "dropped", "pending"] as const;

function AccountingTable({ accounting }: { accounting: Accounting }) {
  const row = (name: keyof Accounting, label: string) => (
    <tr key={name}>
      <th scope="row">{label}</th>
      <td class="number">{numberText(accounting[name])}</td>
    </tr>
  );
  return (
    <>
      <table class="device-accounting">
        <tbody>
          {row("read", t("a_read"))}
          {FATES.map((name) => row(name, t(name === "pending" ? "a_pending" : name)))}
          {row("held", t("held"))}
        </tbody>
      </table>
      <p class="muted">{t("accountingHow")}</p>
    </>
  );
}

export function DetailsTab({ device, status }: { device: Device; status: DeviceStatus | null }) {
  const { status: _status, link: _link, ...settings } = device;
  return (
    <div class="device-details">
      {!status && <Loading />}
      {status?.accounting && (
        <Section title={t("accounting")}><AccountingTable accounting={status.accounting} /></Section>
      )}
      {status?.counters && <Section title={t("countersOf")}><Tree value={status.counters} /></Section>}
      {status && (
        <Section title={t("manager")}>
          <Tree value={{ manager: status.manager ?? null, partition: status.partition ?? null, reported: status.reported ?? null }} />
        </Section>
      )}
      {status?.protocol && <Section title={t("protocol")}><Tree value={status.protocol} /></Section>}
      <Section title={t("settings")}>
        <Tree value={settings} />
        <p class="muted">{t("edit")} <a href={href("model")}>{t("model")}</a></p>
      </Section>
    </div>
  );
}
