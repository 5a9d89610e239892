// The page: sends a photograph to /v1/query and shows what comes back.

import { drawMap } from "./map.js";

const find = (id) => document.getElementById(id);
const drop = find("drop");
const input = find("file");
const preview = find("preview");

let latest = 0; // of several photographs in a row, only the last one's answer is shown

async function ask(file) {
  const turn = ++latest;
  showPreview(file);
  showError("");
  find("matches").hidden = find("location").hidden = true;
  find("progress").textContent = "Looking …";
  try {
    const answer = await send(file);
    if (turn === latest) showAnswer(answer);
  } catch (error) {
    if (turn === latest) {
      find("progress").textContent = "";
      showError(error.message);
    }
  }
}

async function send(file) {
  const form = new FormData();
  form.append("image", file);
  let response;
  try {
    response = await fetch("/v1/query", { method: "POST", body: form });
  } catch {
    throw new Error("The server cannot be reached. Is it still running?");
  }
  const answer = await response.json().catch(() => null);
  if (response.ok && answer) return answer;
  throw new Error(answer?.error?.message ?? `The server answered ${response.status}.`);
}

function showPreview(file) {
  if (preview.src) URL.revokeObjectURL(preview.src);
  preview.src = URL.createObjectURL(file);
  preview.hidden = false;
  find("invitation").lastElementChild.textContent = "Another one? Drop it, choose it or paste it.";
}

function showError(message) {
  find("message").textContent = message;
  find("message").hidden = !message;
}

function showAnswer({ matches, location, timings, index }) {
  find("progress").textContent =
    `Looked through ${index.count.toLocaleString()} photographs in ${timings.total_ms.toFixed(0)} ms.`;
  find("list").replaceChildren(...matches.map(matchItem));
  find("matches").hidden = false;
  find("location").hidden = false;
  find("location-title").textContent = location ? "Probably here" : "No location";
  find("place").textContent = location ? location.place : "";
  find("position").textContent = location ? positionText(location) : "";
  find("uncertainty").textContent = location
    ? `Give or take ${metres(location.uncertainty_metres)}: an estimate, not yet calibrated.`
    : "None of the matches has a position.";
  find("map").parentElement.hidden = !location;
  if (location) find("scale").textContent = drawMap(find("map"), matches, location);
}

function matchItem(match) {
  const item = find("match").content.firstElementChild.cloneNode(true);
  const part = (selector) => item.querySelector(selector);
  part("a").href = match.image;
  part("img").src = `${match.image}?width=640`;
  part("img").alt = `Reference photograph of ${match.place}`;
  part(".rank").textContent = `${match.rank}.`;
  part(".title").textContent = match.place;
  part("meter").value = Math.max(0, match.similarity);
  part("meter").setAttribute("aria-label", "similarity");
  part(".similarity").textContent = `similarity ${match.similarity.toFixed(3)}`;
  part(".hint").textContent = match.latitude === null ? "position not known" : positionText(match);
  return item;
}

function positionText({ latitude, longitude, heading }) {
  const towards = heading === null ? "" : `, facing ${Math.round(heading) % 360}°`;
  return `${latitude.toFixed(6)}, ${longitude.toFixed(6)}${towards}`;
}

function metres(length) {
  return length < 1000 ? `${Math.round(length)} m` : `${(length / 1000).toFixed(1)} km`;
}

async function showState() {
  try {
    const response = await fetch("/readyz");
    const answer = await response.json();
    find("state").textContent = response.ok
      ? `${answer.index.count.toLocaleString()} reference photographs, encoder ${answer.index.backbone}`
      : answer.error.message;
  } catch {
    find("state").textContent = "The server cannot be reached.";
  }
}

input.addEventListener("change", () => {
  const [file] = input.files;
  input.value = ""; // so that the same file can be chosen again
  if (file) ask(file);
});
// the space bar opens a file input everywhere, the enter key does not
input.addEventListener("keydown", (event) => event.key === "Enter" && input.click());
for (const name of ["dragover", "dragleave", "drop"]) {
  // a photograph that misses the box must not replace the page
  document.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", name === "dragover");
  });
}
document.addEventListener("drop", (event) => event.dataTransfer.files.length && ask(event.dataTransfer.files[0]));
document.addEventListener("paste", (event) => event.clipboardData.files.length && ask(event.clipboardData.files[0]));
preview.addEventListener("error", () => (preview.hidden = true));
showState();
