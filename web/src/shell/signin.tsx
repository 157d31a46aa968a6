// Asks for the access token, when the server wants one.
import { useState } from "preact/hooks";
import { Problem } from "../api/client";
import { translator } from "../i18n/i18n";
import { me, tryToken } from "../state/session";
import { start } from "../state/start";
import { keepToken, setToken } from "../state/token";
import { words } from "./words";

const t = translator(words);

export function SignIn() {
  const [text, setText] = useState("");
  const [problem, setProblem] = useState("");
  const submit = async (): Promise<void> => {
    const token = text.trim();
    try {
      await tryToken(token);
    } catch (error) {
      const wrong = error instanceof Problem && error.status === 401;
      setProblem(wrong ? t("tokenWrong") : error instanceof Error ? error.message : String(error));
      return;
    }
    if (me.peek() && keepToken(token)) {
      location.reload(); // what the page knows was shown to somebody else, whose rights may have been others
      return;
    }
    setToken(token);
    await start();
  };
  return (
    <form
      class="card stack"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <h1>{t("signIn")}</h1>
      <label class="field">
        <span class="label">{t("tokenLabel")}</span>
        <input
          type="password"
          autocomplete="off"
          required
          value={text}
          aria-invalid={problem !== ""}
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <span class="help">{t("tokenHelp")}</span>
        {problem && <span class="error" role="alert">{problem}</span>}
      </label>
      <div><button type="submit" class="button primary">{t("signIn")}</button></div>
    </form>
  );
}
