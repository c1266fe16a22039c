// Pictures of the exercises, drawn into the page so that they take its colours. They come from the gateway's own files.
const kept = new Map();

async function load(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(String(response.status));
  // A file on its own brings its colours; here the page's hold, and its content policy takes no style from elsewhere.
  const text = (await response.text()).replace(/<style>.*?<\/style>/s, "");
  const parsed = new DOMParser().parseFromString(text, "image/svg+xml");
  const picture = parsed.documentElement;
  const label = [...picture.children].find((e) => e.tagName === "title")?.textContent ?? "";
  for (const e of [...picture.querySelectorAll("title, desc, script")]) e.remove();
  for (const name of ["aria-labelledby", "width", "height", "id"]) picture.removeAttribute(name);
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", label);
  return picture;
}

// Puts a picture into a place; a picture that is missing leaves the place away.
export async function showPicture(place, id, folder = "exercises") {
  const path = `${folder}/${encodeURIComponent(id)}.svg`;
  if (place.dataset.path === path) return;
  place.dataset.path = path;
  place.replaceChildren();
  if (!kept.has(path)) kept.set(path, load(path));
  try {
    const picture = document.importNode(await kept.get(path), true);
    if (place.dataset.path !== path) return; // another one is wanted meanwhile
    place.replaceChildren(picture);
    place.hidden = false;
  } catch {
    kept.delete(path); // asked again next time, for example after a break of the network
    place.hidden = true;
    delete place.dataset.path;
  }
}
