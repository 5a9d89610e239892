// The comparison of a photograph with one reference photograph: side by side, by a slider, or fading over.

import { find, resized } from "./elements.js";
import { clearRegions, drawRegions } from "./regions.js";
import { showImage } from "./server.js";

const SLIDER = {
  slide: "How much of your photograph is shown, from the left, in percent",
  fade: "How much of the reference photograph is shown, in percent",
};

let cells = null; // of the match that is shown; null if the server compared none

/** Shows a photograph; null for the answer of a link, which has none. */
export function showYours(address) {
  const image = find("yours-image");
  find("yours").hidden = !address;
  find("stage").classList.toggle("alone", !address);
  if (!address) return image.removeAttribute("src");
  if (image.getAttribute("src") !== address) image.src = address;
}

/** Shows a match beside it. */
export function showTheirs(match) {
  showImage(find("theirs-image"), resized(match.image, 1280));
  find("theirs-image").alt = `Reference photograph of ${match.place}`;
  find("theirs-rank").textContent = match.rank;
  find("theirs-place").textContent = match.place;
  cells = match.cells?.length ? match.cells : null;
  find("regions-line").hidden = !cells || find("yours").hidden;
  find("regions-text").textContent = cells ? `Matched regions (${cells.length})` : "";
  redraw();
}

function redraw() {
  for (const [side, name] of [["query", "yours"], ["reference", "theirs"]]) {
    if (cells && find("regions").checked) drawRegions(find(name), find(`${name}-image`), cells, side);
    else clearRegions(find(name));
  }
}

function setMode(mode) {
  find("stage").dataset.mode = mode;
  document.querySelector(`input[name=mode][value=${mode}]`).checked = true;
  find("slider").ariaLabel = SLIDER[mode] ?? "";
  find("slider").value = mode === "fade" ? 0 : 50;
  setSplit();
}

function setSplit() {
  const { value } = find("slider");
  find("stage").style.setProperty("--split", `${value}%`);
  find("stage").style.setProperty("--opacity", 1 - value / 100); // of your photograph, where it fades
}

function enlarge() {
  find("enlarged").append(find("comparison"));
  find("enlarged").showModal(); // Escape closes it, and the browser gives the focus back
}

export function startComparison(wide) {
  find("slider").addEventListener("input", setSplit);
  for (const radio of document.querySelectorAll("input[name=mode]")) radio.addEventListener("change", () => setMode(radio.value));
  setMode(wide ? "beside" : "slide");
  find("regions").addEventListener("change", redraw);
  for (const name of ["yours-image", "theirs-image"]) find(name).addEventListener("load", redraw);
  find("yours-image").addEventListener("load", ({ target }) =>
    find("stage").style.setProperty("--shape", target.naturalWidth / target.naturalHeight),
  );
  find("enlarge").addEventListener("click", enlarge);
  find("enlarged").addEventListener("close", () => find("compare").append(find("comparison")));
}
