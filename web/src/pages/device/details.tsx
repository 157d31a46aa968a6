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

/** What became of the values, in the words of the page. */
function fates({ read, stored, unchanged, rejected, dropped, pending, held }: Accounting): Record<string, string> {
  return {
    [t("a_read")]: numberText(read),
    [t("stored")]: numberText(stored),
    [t("unchanged")]: numberText(unchanged),
    [t("rejected")]: numberText(rejected),
    [t("dropped")]: numberText(dropped),
    [t("a_pending")]: numberText(pending),
    [t("held")]: numberText(held),
  };
}

export function DetailsTab({ device, status }: { device: Device; status: DeviceStatus | null }) {
  const { status: _status, link: _link, ...settings } = device;
  return (
    <div class="device-details">
      {!status && <Loading />}
      {status?.accounting && (
        <Section title={t("accounting")}>
          <Tree value={fates(status.accounting)} />
          <p class="muted">{t("accountingHow")}</p>
        </Section>
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
        <p class="muted">{t("edit")} <a href={href("model", ["device", device.id])}>{t("model")}</a></p>
      </Section>
    </div>
  );
}
