// Keeps the page's own files for when the gateway cannot be reached. Measurements are never kept: old numbers must not
// look like new ones.
const CACHE = "tiltline-shell-1";
const SHELL = [
  "./", "style.css", "app.js", "net.js", "text.js", "now.js", "today.js", "timeline.js", "flags.js", "prompt.js",
  "neutral.js", "i18n/en.json", "icon.svg", "manifest.webmanifest",
];

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(SHELL)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const old = (names) => Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name)));
  event.waitUntil(caches.keys().then(old).then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== location.origin || url.pathname.includes("/api/")) return;
  // The gateway first, so that an update is seen at once; the kept copy only when it does not answer.
  event.respondWith(refresh(event.request));
});

async function refresh(request) {
  const cache = await caches.open(CACHE);
  try {
    const fresh = await fetch(request);
    if (fresh.ok) await cache.put(request, fresh.clone());
    return fresh;
  } catch (error) {
    const kept = await cache.match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
}
