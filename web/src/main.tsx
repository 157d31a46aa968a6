// Starts the pages: styles, session, live connection, shell.
import { render } from "preact";
import "./style/tokens.css";
import "./style/base.css";
import "./style/parts.css";
import "./style/shell.css";
import { App } from "./app";
import { start } from "./state/start";

const root = document.getElementById("app");
if (root) render(<App />, root);
void start();
