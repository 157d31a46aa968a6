// Sets a point: value -> confirmation -> result.
import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "../api/client";
import type { Device, Point, TermItem } from "../api/types";
import { translator } from "../i18n/i18n";
import { frozen } from "../live/socket";
import { latestOf, useIds } from "../live/values";
import { devices, points } from "../state/plant";
import { may } from "../state/session";
import { serverNow } from "../state/time";
import { Dialog } from "../ui/dialog";
import { Loading, ProblemNotice, useLoaded } from "../ui/loading";
import { toast } from "../ui/toast";
import { words as uiWords } from "../ui/words";
import { execute, knowledgeOf, type Command, type Mode, type Outcome } from "./command";
import { Confirm } from "./confirm";
import "./control.css";
import { Form, type Draft } from "./form";
import { useHold } from "./hold";
import type { ControlProps } from "./open";
import { rangeOf, type Range } from "./range";
import { reasonsAgainst } from "./reasons";
import { Result } from "./result";
import { cancel, select, type Held } from "./selection";
import { stateText } from "./shown";
import { Target } from "./target";
import { words } from "./words";

const t = translator(words);
const ui = translator(uiWords);
/** Seconds; a command of IEC 104 may wait for select, execute and termination. */
const EXPIRES: Record<string, string> = { iec104: "20" };

export default function ControlDialog({ id, onClose }: ControlProps) {
  useIds([id], 100);
  const point = points.value.get(id);
  const device = point && devices.value.get(point.device_id);
  const [, term = "", item = ""] = id.split(":");
  const path = `/api/v1/terms/${encodeURIComponent(term)}/items/${encodeURIComponent(item)}`;
  const { data, problem, reload } = useLoaded((signal) => get<TermItem>(path, signal), path);
  return (
    <Dialog title={`${t("set")}: ${point?.name || item}`} onClose={onClose}>
      {!point || !device ? <p role="alert">{t("r:unknown")}</p> : (
        <>
          <Target id={id} point={point} device={device} range={data && rangeOf(point.protocol, data)} />
          <ProblemNotice problem={problem} retry={reload} />
          {!data && !problem && <Loading />}
          {data && <Steps id={id} point={point} device={device} item={data} onClose={onClose} />}
        </>
      )}
    </Dialog>
  );
}

interface StepsProps {
  id: string;
  point: Point;
  device: Device;
  item: TermItem;
  onClose: () => void;
}

type Step =
  | { at: "form"; notice: string; refusal: string }
  | { at: "confirm"; command: Command; busy: boolean; held: Held | null }
  | { at: "result"; command: Command; outcome: Outcome; began: number; repeated: boolean };

function Steps({ id, point, device, item, onClose }: StepsProps) {
  const range = rangeOf(point.protocol, item);
  const [draft, setDraft] = useState<Draft>(() => firstDraft(point, device, item, range));
  const [step, setStep] = useState<Step>({ at: "form", notice: "", refusal: "" });
  const reasons = reasonsAgainst({
    point, device, quality: latestOf(id).value?.quality ?? null, frozen: frozen.value, mayOperate: may("operate"),
  });
  const toForm = (notice = "", refusal = ""): void => setStep({ at: "form", notice, refusal });
  const notGivenUp = (message: string): void => toast(`${point.name || id}: ${t("notGivenUp", { problem: message })}`);
  const hold = useHold(id, () => toForm(t("left")), notGivenUp);
  const open = useRef(true);
  useEffect(() => () => void (open.current = false), []);
  const run = async (command: Command, first?: number): Promise<void> => {
    const began = first ?? serverNow();
    hold.spend();
    setStep((last) => ({ at: "confirm", command, busy: true, held: last.at === "confirm" ? last.held : null }));
    const outcome = await execute(command);
    if (!open.current) {
      // the dialog was closed meanwhile; what became of the command must still be told
      const { answer, problem } = outcome;
      return toast(`${point.name || id}: ${answer ? t("confirmed", { value: stateText(range.kind, answer.value, point.unit) }) : `${t(`h:${knowledgeOf(problem.status)}`)}. ${problem.message}`}`);
    }
    const wrong = outcome.problem?.status === 422 && outcome.problem.errors.find(({ field }) => field === "value");
    if (wrong) toForm("", wrong.message);
    else setStep({ at: "result", command, outcome, began, repeated: first !== undefined });
  };
  const holds = point.protocol === "iec104" && device["backend"] !== "c104";
  const choose = async (command: Command): Promise<void> => {
    if (command.mode !== "select" || !holds) return setStep({ at: "confirm", command, busy: false, held: null });
    setStep({ at: "confirm", command, busy: true, held: null });
    const { held, problem } = await select(command, serverNow);
    if (!open.current) {
      // the dialog was closed meanwhile: nobody is going to execute it
      const failed = held && (await cancel(id, held.id));
      return failed ? notGivenUp(failed.message) : undefined;
    }
    if (held) {
      hold.take(held);
      return setStep({ at: "confirm", command: { ...command, selectionId: held.id }, busy: false, held });
    }
    const wrong = problem.errors.find(({ field }) => field === "value");
    toForm(wrong ? "" : t("notSelected", { problem: problem.message }), wrong?.message);
  };
  if (step.at === "confirm")
    return (
      <Confirm
        command={step.command}
        point={point}
        range={range}
        deviceName={device.name || device.id}
        reasons={reasons}
        busy={step.busy}
        held={step.held}
        holds={holds && step.command.mode === "select"}
        onExecute={() => void run(step.command)}
        onBack={() => {
          hold.release();
          toForm();
        }}
        onExpire={() => {
          hold.spend();
          toForm(t("expired"));
        }}
      />
    );
  if (step.at === "result")
    return (
      <Result
        command={step.command}
        outcome={step.outcome}
        point={point}
        range={range}
        began={step.began}
        repeated={step.repeated}
        onAgain={() => void run(step.command, step.began)}
        onChange={() => toForm()}
        onClose={onClose}
        closeText={ui("close")}
      />
    );
  return (
    <Form
      id={id}
      point={point}
      range={range}
      draft={draft}
      reasons={reasons}
      refusal={step.refusal}
      notice={step.notice}
      holds={holds}
      onDraft={(next) => {
        setDraft(next);
        if (step.notice || step.refusal) toForm();
      }}
      onReady={(command) => void choose(command)}
    />
  );
}

function firstDraft(point: Point, device: Device, item: TermItem, range: Range): Draft {
  const configured = item.command_mode ?? device["command_mode"];
  const mode: Mode = point.protocol !== "iec104" ? "" : configured === "select" && range.selectable ? "select" : "direct";
  return { text: "", mode, verify: point.protocol === "modbus_tcp", reason: "", expires: EXPIRES[point.protocol] ?? "10" };
}
