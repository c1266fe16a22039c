// The guided set-up, step by step: find the sensor, clip it on, stand quietly, bow, walk. Each step is checked live.
import { $, listItems, make } from "./dom.js";
import { get, post } from "./net.js";
import { latest } from "./now.js";
import { said, t } from "./text.js";
import { showPicture } from "./pictures.js";
import { isOpen, open } from "./views.js";

const STEPS = ["bind", "clip", "neutral", "bow", "walk"];
const CAPTURED = new Set(["neutral", "bow", "walk"]);
const TIPPED_DEG = 15;
const ASK_EVERY_MS = 300;
const $pause = (ms) => new Promise((done) => setTimeout(done, ms));
const done = new Set();
let at = 0;
let running = false;
let allowed = false;
let seen = null; // lowest and highest tilt seen in the first step


// The gateway's reason names figures for the therapist too; its first clause is what a wearer needs.
function plain(text) {
  const first = (text ?? "").replace(/\s*\([^)]*\)/g, "").split(";")[0].trim();
  return first && first[0].toUpperCase() + first.slice(1).replace(/[^.!?]$/, "$&.");
}
const name = () => STEPS[at];

function showSteps() {
  $("setup-steps").replaceChildren(
    ...STEPS.map((step, i) => {
      const li = make("li", done.has(step) ? "done" : "");
      const button = make("button", "", t(`setup.${step}.short`));
      button.type = "button";
      if (i === at) button.setAttribute("aria-current", "step");
      if (done.has(step)) button.append(make("span", "hidden", ` (${t("setup.is_done")})`));
      button.disabled = running;
      button.addEventListener("click", () => go(i));
      li.append(button);
      return li;
    }),
  );
}

function show() {
  const step = name();
  showSteps();
  $("step-count").textContent = t("setup.count", { n: at + 1, of: STEPS.length });
  $("step-title").textContent = t(`setup.${step}.title`);
  $("step-list").replaceChildren(...listItems([1, 2, 3].map((n) => said(`setup.${step}.${n}`, "")).filter(Boolean)));
  $("step-go").textContent = t(`setup.${step}.go`);
  $("step-skip").textContent = t(at === STEPS.length - 1 ? "setup.finish" : "setup.skip");
  $("step-skip").hidden = step === "bind" || step === "clip";
  $("step-go").disabled = !allowed && CAPTURED.has(step);
  say(!allowed && CAPTURED.has(step) ? t("setup.not_here") : "", "");
  $("step-live").hidden = step !== "bind";
  $("step-check").textContent = step === "bind" ? t("setup.bind.waiting") : "";
  ring(0);
  seen = null;
  showPicture($("step-picture"), step, "setup");
}

function say(text, kind) {
  $("step-result").textContent = text;
  $("step-result").className = `result ${kind}`;
}

const ring = (share) => $("step-ring").setAttribute("stroke-dasharray", `${100 * share} 100`);

function go(i) {
  at = Math.max(0, Math.min(STEPS.length - 1, i));
  show();
  $("step-title").focus({ preventScroll: true });
}

function forward() {
  done.add(name());
  if (at === STEPS.length - 1) {
    showSteps();
    open("now");
  } else go(at + 1);
}

// One capture on the gateway: started, watched until it is done or refused; the reason is the gateway's.
async function capture(step) {
  running = true;
  showSteps();
  $("step-go").disabled = $("step-skip").disabled = true;
  $("step-live").hidden = false;
  say("", "");
  try {
    let view = await post(`setup/${step}`, {});
    while (view.state === "running") {
      ring(view.progress);
      $("step-live").dataset.good = view.good === false ? "no" : "yes";
      $("step-check").textContent = view.good === false ? t(`setup.${step}.hint`) : view.text;
      await $pause(ASK_EVERY_MS);
      view = await get(`setup/${step}`);
    }
    ring(view.state === "done" ? 1 : 0);
    $("step-check").textContent = "";
    if (view.state === "done") {
      done.add(step);
      say(view.uncertainty_deg == null ? t(`setup.${step}.done`) : `${t(`setup.${step}.done`)} ${t("setup.sure", { n: view.uncertainty_deg.toFixed(1) })}`, "good");
      $("step-go").textContent = t(at === STEPS.length - 1 ? "setup.finish" : "setup.next");
      $("step-skip").hidden = true;
    } else {
      say(t("setup.failed", { reason: plain(view.reason), hint: t(`setup.${step}.hint`) }), "bad");
      $("step-go").textContent = t("setup.retry");
    }
  } catch (error) {
    say(t("error.generic", { reason: error.message }), "bad");
  }
  running = false;
  $("step-go").disabled = $("step-skip").disabled = false;
  showSteps();
}

// In the first step the picture tips with the sensor: that is how one knows that it is this one.
function follow() {
  if (isOpen("setup") && name() === "bind") {
    const frame = latest();
    const tilt = frame?.tilt_deg ?? null;
    $("step-level").setAttribute("transform", `rotate(${(tilt ?? 0).toFixed(1)} 60 60)`);
    $("step-level").classList.toggle("off", tilt === null);
    if (tilt !== null) seen = seen ? [Math.min(seen[0], tilt), Math.max(seen[1], tilt)] : [tilt, tilt];
    const moved = seen ? seen[1] - seen[0] : 0;
    ring(Math.min(1, moved / TIPPED_DEG));
    const key = frame === null ? "waiting" : moved >= TIPPED_DEG ? "moved" : "tip";
    const text = t(`setup.bind.${key}`);
    if ($("step-check").textContent !== text) $("step-check").textContent = text;
    $("step-live").dataset.good = key === "waiting" ? "no" : "yes";
  }
  requestAnimationFrame(follow);
}

export async function loadSetup() {
  try {
    const { aligned, steps } = await get("setup");
    $("setup-due").hidden = aligned || !allowed;
    for (const one of steps) if (one.state === "done" && aligned) done.add(one.step);
  } catch {
    // the notice already says that the gateway does not answer
  }
}

export function setUpSetup(can) {
  allowed = can;
  $("setup-again").hidden = !can;
  $("step-go").addEventListener("click", () => {
    if (CAPTURED.has(name()) && !$("step-result").classList.contains("good")) capture(name());
    else forward();
  });
  $("step-skip").addEventListener("click", () => (at === STEPS.length - 1 ? open("now") : go(at + 1)));
  requestAnimationFrame(follow);
  return loadSetup();
}

export function openSetup() {
  if (running) return;
  done.clear(); // a new round: what was set before stays in force until a step replaces it
  at = 0;
  show();
}
