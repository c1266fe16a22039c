// Starts the page and keeps it going: live events in, pictures out, the day again when something happened.
import { $, make } from "./dom.js";
import { setUpDiary, showDiary } from "./diary.js";
import { allowExercises, loadProgramme, setUpPrint } from "./exercises.js";
import { loadHealth, setUpHealth } from "./health.js";
import { get, link, listen } from "./net.js";
import { setUpNotify } from "./notify.js";
import { draw, drawDial, onFrame, onNow, status } from "./now.js";
import { loadMode, setUpMode, setUpPrompt, showPrompt } from "./prompt.js";
import { loadSetup, openSetup, setUpSetup } from "./setup.js";
import { loadText, t } from "./text.js";
import { isToday, loadDay, setUpToday } from "./today.js";
import { loadTrends, setUpTrends } from "./trends.js";
import { isOpen, onOpen, setUpViews } from "./views.js";

const DAY_EVERY_MS = 15000;
let told; // newest event the day was loaded with
let spoken; // last state said to a screen reader

function onState(now) {
  onNow(now);
  showPrompt(now.prompt);
  if (now.newest_event === told) return;
  const first = told === undefined;
  told = now.newest_event;
  reloadDay();
  if (!first) reloadRest();
}

async function reloadDay() {
  if (!isToday()) return;
  const day = await loadDay();
  if (day) showDiary(day);
}

// Something was entered or decided, here or on another device: what depends on it is asked again.
function reloadRest() {
  loadMode();
  loadHealth();
  loadSetup();
  if (isOpen("exercises")) loadProgramme();
  if (isOpen("trends")) loadTrends();
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

// Several people use this gateway and the address names none of them, or nobody does yet.
function askWho({ message, wearers }) {
  document.body.classList.add("nobody");
  $("who").hidden = false;
  $("who-title").textContent = t(wearers.length ? "who.title" : "who.none");
  $("who-text").textContent = wearers.length ? "" : message;
  $("who-links").replaceChildren(
    ...wearers.map((id) => {
      const link = make("a", "button", id);
      link.href = `?${new URLSearchParams({ wearer: id })}${location.hash}`;
      return link;
    }),
  );
}

async function start() {
  await loadText();
  $("desk").href = link("review.html");
  $("notice").textContent = t("notice.offline");
  drawDial();
  setUpPrompt();
  setUpToday();
  setUpPrint();
  setUpTrends();
  setUpDiary();
  setUpNotify();
  onOpen("today", reloadDay);
  onOpen("diary", reloadDay);
  onOpen("trends", loadTrends);
  onOpen("exercises", loadProgramme);
  onOpen("setup", openSetup);
  setUpViews();
  let can = true;
  let now;
  try {
    now = await get("now");
  } catch (error) {
    if (error.wearers) return askWho(error);
  }
  requestAnimationFrame(tick);
  listen(onFrame, onState);
  setInterval(reloadDay, DAY_EVERY_MS);
  document.addEventListener("visibilitychange", () => document.hidden || reloadDay());
  if ("serviceWorker" in navigator) {
    navigator.serviceWorker.register("sw.js").catch(() => {});
    // On the very first visit these were asked before the worker could keep them.
    navigator.serviceWorker.addEventListener("controllerchange", () => (loadProgramme(), loadHealth()), { once: true });
  }
  if (now) {
    $("wearer").textContent = now.wearer;
    can = now.can_command;
    onState(now);
  }
  $("looking").hidden = can;
  document.body.classList.toggle("looking", !can);
  allowExercises(can);
  if (isOpen("exercises")) loadProgramme();
  setUpMode(can);
  setUpHealth(can);
  setUpSetup(can);
  if (isOpen("setup")) openSetup();
}

start();
