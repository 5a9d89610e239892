// The page: photographs in, each looked up with /v1/query, and one of the answers shown.

import { readPosition } from "./exif.js";
import { Follower } from "./follow.js";
import { PlaceMap } from "./map.js";
import { Refused, ask, keepKey, showImage } from "./server.js";
import { judge, shownMatches } from "./verdicts.js";
import { coordinates, distance, facing, isOnEarth, metres, percent } from "./words.js";

const AT_ONCE = 2; // photographs that are being looked up together
const SHRUNK_SIDE = 2048; // pixels of a photograph that is too large to be sent as it is
const WIDE = matchMedia("(min-width: 720px)");

const find = (id) => document.getElementById(id);
const photographs = [];
let shown = null; // the photograph whose answer is on the page
let settings = {};
let indexes = [];
let map = null;

// ---- photographs in ----------------------------------------------------------------------------------------------

function add(files) {
  const fresh = [...files].map((file) => ({ file, address: URL.createObjectURL(file), state: "waiting", rank: 1 }));
  if (!fresh.length) return;
  follower.forget();
  photographs.push(...fresh);
  find("main").classList.add("busy");
  for (const photograph of fresh) addFrame(photograph);
  show(fresh[0]);
  lookUpNext();
}

function lookUpNext() {
  const busy = photographs.filter(({ state }) => state === "asking").length;
  const next = photographs.filter(({ state }) => state === "waiting").slice(0, Math.max(0, AT_ONCE - busy));
  for (const photograph of next) lookUp(photograph).finally(lookUpNext);
}

async function lookUp(photograph) {
  const turn = (photograph.turn = (photograph.turn ?? 0) + 1);
  change(photograph, "asking");
  try {
    photograph.own = await readPosition(photograph.file);
    const form = new FormData();
    form.append("image", await fitting(photograph.file), photograph.file.name);
    const where = find("index").value ? `?index=${encodeURIComponent(find("index").value)}` : "";
    const response = await ask(`/v1/query${where}`, { method: "POST", body: form }, askForKey);
    const answer = await response.json();
    if (photograph.turn !== turn) return; // another map was chosen meanwhile
    photograph.answer = { ...answer, matches: shownMatches(answer) };
    photograph.judged = judge(answer);
    photograph.rank = answer.best?.rank ?? 1;
    change(photograph, "done");
  } catch (error) {
    if (photograph.turn !== turn) return;
    photograph.error = error;
    change(photograph, "failed");
  }
}

/** The file, or a smaller form of a photograph that the server would refuse for its size. */
async function fitting(file) {
  if (!settings.max_upload_bytes || file.size <= settings.max_upload_bytes) return file;
  const image = await createImageBitmap(file).catch(() => null);
  if (!image) return file; // the server says what is wrong with it
  const scale = Math.min(1, SHRUNK_SIDE / Math.max(image.width, image.height));
  const canvas = new OffscreenCanvas(Math.round(image.width * scale), Math.round(image.height * scale));
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
}

function change(photograph, state) {
  photograph.state = state;
  photograph.frame.dataset.state = state;
  mark(photograph.frame, state === "done" ? photograph.judged.state : null);
  const words = { asking: "being looked up", failed: "not found out: an error", done: photograph.judged?.summary };
  photograph.frame.querySelector(".status").textContent = words[state] ?? "";
  if (photograph === shown) show(photograph);
}

// ---- the strip of photographs ------------------------------------------------------------------------------------

function addFrame(photograph) {
  const item = find("frame").content.firstElementChild.cloneNode(true);
  const button = (photograph.frame = item.querySelector("button"));
  const image = item.querySelector("img");
  image.src = photograph.address;
  image.addEventListener("error", () => button.classList.add("no-picture"));
  item.querySelector(".name").textContent = photograph.file.name;
  button.title = photograph.file.name;
  button.addEventListener("click", () => show(photograph));
  find("film").append(item);
  find("film").hidden = false;
}

// ---- one answer --------------------------------------------------------------------------------------------------

function show(photograph) {
  shown = photograph;
  for (const { frame } of photographs) frame.ariaCurrent = frame === photograph.frame;
  const { state, answer, error } = photograph;
  find("yours-image").src = photograph.address;
  find("failure").hidden = state !== "failed";
  find("compare").hidden = find("matches").hidden = !answer;
  if (state === "failed") showFailure(photograph, error);
  else if (answer) showAnswer(photograph);
  else say("Looking …", "Looking", "The photograph is being compared with the map.");
  if (!answer) map?.clear();
}

function showFailure(photograph, error) {
  const known = error instanceof Refused;
  find("failure-message").textContent = known ? error.message : `The page failed: ${error.message}`;
  find("again").hidden = known && !error.retry;
  find("again").onclick = () => {
    photograph.state = "waiting";
    show(photograph);
    lookUpNext();
  };
  showMap();
}

function showAnswer(photograph) {
  const { answer, own, judged } = photograph;
  const { location, matches, index, timings } = answer;
  find("timing").textContent = `${index.count.toLocaleString()} photographs in ${timings.total_ms.toFixed(0)} ms`;
  find("list").replaceChildren(...matches.map((match) => matchItem(photograph, match)));
  say(judged.overline, judged.headline, judged.explanation, judged.state);
  if (location) {
    find("coordinates").textContent = coordinates(location);
    find("open").hidden = !isOnEarth(location);
    find("open").href = `geo:${location.latitude},${location.longitude}`;
  }
  find("position").hidden = !location;
  showChance(answer);
  showOwn(own, location);
  const away = map?.show(answer, own, (rank) => compare(photograph, rank)) ?? 0;
  if (away) find("explanation").textContent += ` ${away === 1 ? "One match lies" : `${away} matches lie`} outside the map.`;
  find("legend").hidden = false;
  compare(photograph, photograph.rank);
  find("spoken").textContent = `${photograph.file.name}: ${find("verdict").textContent}. ${find("chance-text").textContent}`;
}

/** Gives an element the colour and the mark of a state; null for none. */
function mark(element, state) {
  if (state) element.dataset.verdict = state;
  else delete element.dataset.verdict;
}

/** The card at the top of the map; `state` colours it and the estimate on the map. */
function say(overline, verdict, explanation, state = null) {
  mark(find("where"), state);
  find("overline").textContent = overline;
  find("verdict").textContent = verdict;
  find("explanation").textContent = explanation;
  find("position").hidden = find("chance").hidden = find("own").hidden = true;
}

function showChance({ probability, location }) {
  find("chance").hidden = probability === null;
  const within = location ? " within 25 m" : "";
  find("chance-text").textContent = probability === null ? "" : `${percent(probability)} likely to be right${within}`;
  find("chance-meter").value = probability ?? 0;
}

function showOwn(own, location) {
  find("own").hidden = find("legend-own").hidden = !own;
  if (!own) return;
  const off = isOnEarth(location) ? `, ${metres(distance(own, location))} from the estimate` : "";
  find("own").textContent = `The photograph's own EXIF position: ${coordinates(own)}${off}.`;
}

function matchItem(photograph, match) {
  const item = find("match").content.firstElementChild.cloneNode(true);
  const part = (selector) => item.querySelector(selector);
  showImage(part("img"), resized(match.image, 480));
  part("img").alt = "";
  part(".rank").textContent = match.rank;
  part(".name").append(...breakable(match.place));
  part("meter").value = Math.max(0, match.similarity);
  part(".similarity").textContent = `similarity ${match.similarity.toFixed(3)}`;
  part(".hint").textContent = whereabouts(match, photograph.answer.location);
  part(".answer-mark").hidden = match.rank !== photograph.answer.best?.rank;
  part("button").addEventListener("click", () => compare(photograph, match.rank));
  return item;
}

function whereabouts(match, location) {
  if (match.latitude === null && !match.local) return "position not known";
  const length = location && distance(match, location);
  const away = length !== null ? `${metres(length)} away` : coordinates(match);
  return [away, facing(match.heading)].filter(Boolean).join(", ");
}

/** A name that may be broken after its dividers, and is still copied as it is. */
const breakable = (name) => name.split(/(?<=[_/.-])/).flatMap((part) => [part, document.createElement("wbr")]);

const resized = (address, width) => `${address}${address.includes("?") ? "&" : "?"}width=${width}`;

// ---- comparing ---------------------------------------------------------------------------------------------------

function compare(photograph, rank) {
  const match = photograph.answer.matches.find((one) => one.rank === rank);
  if (!match) return;
  photograph.rank = rank;
  showImage(find("theirs-image"), resized(match.image, 1280));
  find("theirs-image").alt = `Reference photograph of ${match.place}`;
  find("theirs-rank").textContent = rank;
  find("theirs-place").textContent = match.place;
  for (const [row, button] of [...find("list").querySelectorAll("button")].entries()) {
    button.ariaPressed = photograph.answer.matches[row].rank === rank;
  }
  map?.select(rank);
}

function setMode(mode) {
  find("stage").dataset.mode = mode;
  document.querySelector(`input[name=mode][value=${mode}]`).checked = true;
}

find("slider").addEventListener("input", ({ target }) => find("stage").style.setProperty("--split", `${target.value}%`));
for (const radio of document.querySelectorAll("input[name=mode]")) radio.addEventListener("change", () => setMode(radio.value));
setMode(WIDE.matches ? "beside" : "slide");
find("yours-image").addEventListener("load", ({ target }) =>
  find("stage").style.setProperty("--shape", target.naturalWidth / target.naturalHeight),
);

// the arrow keys walk through the matches, as they do through the options of a list
find("list").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const buttons = [...find("list").querySelectorAll("button")];
  const next = buttons[buttons.indexOf(document.activeElement) + step];
  if (!step || !next) return;
  event.preventDefault();
  next.focus();
  next.click();
});

find("copy").hidden = !navigator.clipboard;
find("copy").addEventListener("click", async ({ target }) => {
  await navigator.clipboard.writeText(find("coordinates").textContent);
  target.textContent = "Copied";
  setTimeout(() => (target.textContent = "Copy"), 1500);
});

// ---- ways in -----------------------------------------------------------------------------------------------------

document.body.classList.toggle("touch", navigator.maxTouchPoints > 0);
for (const input of [find("file"), find("camera")]) {
  input.addEventListener("change", () => {
    add(input.files);
    input.value = ""; // so that the same file can be chosen again
  });
  // the space bar opens a file input everywhere, the enter key only in some browsers, which must not open it twice
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    input.click();
  });
}
for (const name of ["dragover", "dragleave", "drop"]) {
  // a photograph that misses the box must not replace the page
  document.addEventListener(name, (event) => {
    event.preventDefault();
    find("main").classList.toggle("over", name === "dragover");
  });
}
document.addEventListener("drop", (event) => add(event.dataTransfer.files));
document.addEventListener("paste", (event) => add(event.clipboardData.files));

find("over").addEventListener("click", startOver);
find("follow").addEventListener("click", () => {
  startOver();
  find("main").classList.add("busy");
  follower.start();
});

function startOver() {
  follower.forget();
  for (const photograph of photographs.splice(0)) {
    photograph.turn = 0; // no answer to it is waited for any more
    URL.revokeObjectURL(photograph.address);
  }
  shown = null;
  find("film").replaceChildren();
  find("main").classList.remove("busy");
  for (const part of ["film", "failure", "compare", "matches", "legend"]) find(part).hidden = true;
  map?.clear();
  showMap();
}

const follower = new Follower({ index: () => find("index").value, map: () => map?.map, say, askForKey });

// ---- the key -----------------------------------------------------------------------------------------------------

let keyAsked = null; // one dialog for all who wait for a key

function askForKey(message) {
  keyAsked ??= new Promise((answered) => {
    const dialog = find("key-dialog");
    if (message) find("key-message").textContent = message;
    find("key").value = "";
    dialog.showModal();
    find("key-form").onsubmit = (event) => {
      event.preventDefault();
      keepKey(find("key").value.trim());
      answered(true);
      dialog.close();
    };
    find("key-cancel").onclick = () => dialog.close();
    dialog.addEventListener("close", () => answered(false), { once: true });
  }).finally(() => (keyAsked = null));
  return keyAsked;
}

// ---- what the server has -----------------------------------------------------------------------------------------

async function start() {
  try {
    settings = await (await ask("/web/settings.json")).json();
    map = new PlaceMap(find("map"), settings);
    const response = await ask("/v1/indexes", {}, askForKey);
    indexes = (await response.json()).indexes;
    find("index").replaceChildren(...indexes.map(({ name }) => new Option(name, name)));
    find("choice").hidden = indexes.length < 2;
    await chooseIndex();
  } catch (error) {
    find("state").textContent = error.message;
    say("The map", "Nothing to look in yet", error.message);
  }
}

async function chooseIndex() {
  const index = indexes.find(({ name }) => name === find("index").value) ?? indexes[0];
  if (!index) throw new Refused("The index is still being loaded: open the page again in a moment.", "not_ready", true);
  find("state").textContent = `${index.count.toLocaleString()} reference photographs · encoder ${index.backbone}`;
  showMap();
  const response = await ask(`/v1/indexes/${encodeURIComponent(index.name)}/coverage`, {}, askForKey);
  map.showReferences((await response.json()).positions);
}

/** The map by itself, as it is before anything was asked. */
function showMap() {
  const index = indexes.find(({ name }) => name === find("index").value) ?? indexes[0];
  if (!index) return;
  find("map").hidden = !index.bounds;
  const lacking = index.count - index.located;
  const positions = index.located ? (lacking ? `${index.located.toLocaleString()} of them with a position.` : "all with a position.") : "none with a position.";
  say("The map", index.name, `${index.count.toLocaleString()} photographs, ${positions}`);
}

find("index").addEventListener("change", async () => {
  const following = follower.active;
  follower.forget();
  await chooseIndex();
  if (following) follower.start();
  for (const photograph of photographs) {
    delete photograph.answer;
    photograph.turn = (photograph.turn ?? 0) + 1;
    photograph.state = "waiting";
  }
  if (shown) show(shown);
  lookUpNext();
});

start();
