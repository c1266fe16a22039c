// Starts the page and keeps it going: live events in, pictures out, the day again when something happened.
import { get, listen } from "./net.js";
import { setUpNeutral, onAlignments, allowNeutral } from "./neutral.js";
import { draw, drawDial, onFrame, onNow, status } from "./now.js";
import { setUpPrompt, showPrompt } from "./prompt.js";
import { loadText, t } from "./text.js";
import { isToday, loadDay, setUpToday } from "./today.js";

const DAY_EVERY_MS = 15000;
const $ = (id) => document.getElementById(id);
let told; // newest event the day was loaded with
let spoken; // last state said to a screen reader

function onState(now) {
  onNow(now);
  showPrompt(now.prompt);
  if (now.newest_event !== told) {
    told = now.newest_event;
    reloadDay();
  }
}

async function reloadDay() {
  if (isToday()) onAlignments(await loadDay());
}

// Said once per change, never per number: a voice that reads every degree cannot be listened to.
function speak(kind) {
  const word = kind === "live" || kind === "record" ? "live" : kind === "offline" ? "offline" : "no_data";
  if (word === spoken) return;
  if (spoken) $("say").textContent = t(`say.${word}`);
  spoken = word;
}

function tick(time) {
  draw(time);
  const kind = status();
  $("notice").hidden = kind !== "offline";
  speak(kind);
  requestAnimationFrame(tick);
}

async function start() {
  await loadText();
  $("notice").textContent = t("notice.offline");
  drawDial();
  setUpPrompt();
  setUpNeutral();
  setUpToday();
  requestAnimationFrame(tick);
  listen(onFrame, onState);
  setInterval(reloadDay, DAY_EVERY_MS);
  document.addEventListener("visibilitychange", () => document.hidden || reloadDay());
  if ("serviceWorker" in navigator) navigator.serviceWorker.register("sw.js").catch(() => {});
  try {
    const now = await get("now");
    $("wearer").textContent = now.wearer;
    allowNeutral(now.can_command);
    onState(now);
  } catch (error) {
    $("tilt-note").textContent = error.message;
  }
}

start();
