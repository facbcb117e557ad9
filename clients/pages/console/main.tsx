import "../shared/theme.css";
import "../shared/ui.css";
import "./console.css";
import { render } from "preact";
import { startPreferences } from "../shared/preferences.ts";
import { App } from "./app.tsx";
import { startFeed } from "./feed.ts";
import { startRouting } from "./route.ts";

startPreferences();
startRouting();
void startFeed();
render(<App />, document.getElementById("app")!);
