// Telling the wearer of a prompt while the page is in the background: a notification and a short buzz, if she allowed it.
import { $ } from "./dom.js";
import { t } from "./text.js";

const can = () => "Notification" in window && isSecureContext;

export async function tell(title, body, tag) {
  if (!can() || Notification.permission !== "granted" || !document.hidden) return;
  const worker = await navigator.serviceWorker?.getRegistration();
  const options = { body, tag, icon: "icon-192.png", badge: "icon-192.png", vibrate: [120, 80, 120], lang: document.documentElement.lang };
  // Phones only show notifications of the worker; the plain kind is for desktops without one.
  if (worker) await worker.showNotification(title, options);
  else new Notification(title, options);
}

function show() {
  const state = can() ? Notification.permission : "none";
  $("notify").hidden = false;
  $("notify-text").textContent = t(`notify.${state}`);
  $("notify-button").hidden = state !== "default";
}

export function setUpNotify() {
  show();
  $("notify-button").addEventListener("click", async () => {
    await Notification.requestPermission();
    show();
  });
  let offered = null;
  addEventListener("beforeinstallprompt", (event) => {
    event.preventDefault();
    offered = event;
    $("install").hidden = false;
  });
  $("install-button").addEventListener("click", async () => {
    await offered?.prompt();
    $("install").hidden = true;
  });
  addEventListener("appinstalled", () => ($("install").hidden = true));
}
