// One page, several views: the address after "#/" says which is open, so that back and forward work as anywhere.
import { $ } from "./dom.js";
import { t } from "./text.js";

const NAMES = ["now", "today", "trends", "exercises", "diary", "health", "setup"];
const opened = new Map();
let current = null;

export const isOpen = (name) => current === name;
export const onOpen = (name, call) => opened.set(name, call);
export const open = (name) => (location.hash = `#/${name}`);

function show(focus) {
  const wanted = location.hash.match(/^#\/(\w+)/)?.[1];
  if (location.hash && !wanted) return; // the skip link
  const name = NAMES.includes(wanted) ? wanted : "now";
  if (name === current) return;
  current = name;
  for (const one of NAMES) $(`view-${one}`).hidden = one !== name;
  for (const link of $("tabs").children) {
    if (link.getAttribute("href") === `#/${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.body.dataset.view = name;
  document.title = name === "now" ? "Tiltline" : `${t(`title.${name}`)} – Tiltline`;
  opened.get(name)?.();
  if (!focus) return;
  scrollTo(0, 0);
  $(`view-${name}`).querySelector("h1")?.focus({ preventScroll: true });
}

export function setUpViews() {
  addEventListener("hashchange", () => show(true));
  show(false);
}
