// Follow me: a frame of the camera each second to /v1/track; its answers in words, and as a track on the map.

import { find } from "./elements.js";
import { Refused, ask, currentKey } from "./server.js";
import { coordinates, facing, metres, isOnEarth, percent } from "./words.js";

const { L } = globalThis;
const EVERY = 1000; // milliseconds from one frame to the next
const SIDE = 1024; // pixels of the longer side of a frame
const QUALITY = 0.85;
const MOST_POINTS = 300; // of the track on the map; the oldest are taken away
const ZOOM = 18;
const TRIES = 5; // to connect again, before following ends
const WAIT = 2000; // milliseconds between them
const PAUSE = 5000; // milliseconds without frames after the server was asked too often, or is too busy
const PROTOCOL = "daco.track"; // with it, the server explains in a message why it does not follow
const KEY_PROTOCOL = "daco.key.";
const [UNUSABLE, NOT_ALLOWED, FULL] = [1003, 1008, 1013]; // codes of a connection that is not to be opened again

const CAMERA = {
  NotAllowedError: "Access to the camera was denied. Allow this page to use it in the settings of your browser, then try again.",
  NotFoundError: "No camera was found on this device.",
  NotReadableError: "The camera cannot be opened: another program may be using it.",
};
const INSECURE =
  "Browsers let a page use the camera only over https, or on the machine itself (http://localhost). Open this page over https.";

export class Follower {
  /**
   * index() names the index, map() is the Leaflet map; say(overline, headline, explanation, state) writes the card at
   * its top; askForKey(message) resolves to true once there is another key.
   */
  constructor({ index, map, say, askForKey }) {
    Object.assign(this, { index, map, say, askForKey });
    this.run = null; // AbortController of the present run
    this.layer = L.layerGroup();
    find("follow-stop").addEventListener("click", () => (this.active ? this.stop() : this.start()));
    addEventListener("pagehide", () => this.stop());
  }

  get active() {
    return this.run !== null && !this.run.signal.aborted;
  }

  /** Runs until `stop` or an error, which is then shown. */
  async start() {
    this.forget();
    const run = (this.run = new AbortController());
    this.show("on");
    this.say("Camera", "Starting", "Your browser may ask whether this page may use the camera.");
    try {
      const camera = await openCamera(run.signal);
      for (const track of camera.getTracks()) track.onended = () => this.fail(run, new Error("The camera was switched off."));
      await this.keepFollowing(run.signal);
    } catch (error) {
      this.fail(run, error);
    }
  }

  /** Switches the camera off; the track stays on the map. */
  stop() {
    if (!this.active) return;
    this.run.abort();
    this.show("over");
    this.say("Stopped", "The camera is off", `${this.frames} frames were looked up.`);
  }

  /** Restores the state before following. */
  forget() {
    this.run?.abort();
    this.run = null;
    this.frames = 0;
    this.status = null;
    this.points = [];
    this.line = null;
    this.here = null;
    this.layer.clearLayers();
    find("following").hidden = find("follow-failure").hidden = true;
    find("follow-frame").textContent = "";
  }

  show(state) {
    find("following").hidden = false;
    find("following").dataset.state = state;
    find("follow-stop").textContent = state === "on" ? "Stop" : "Follow again";
  }

  fail(run, error) {
    if (run.signal.aborted) return; // it was stopped meanwhile
    run.abort();
    this.show("over");
    find("follow-failure").textContent = error.message;
    find("follow-failure").hidden = false;
    this.say("Stopped", "The camera is off", "Following has ended.");
  }

  /** Connects, and connects again if the connection is lost. */
  async keepFollowing(signal) {
    for (let failed = 0; ; ) {
      const end = await this.converse(signal);
      if (signal.aborted) return;
      if ([UNUSABLE, NOT_ALLOWED, FULL].includes(end.code)) throw new Refused(end.message, "", true);
      failed = end.answered ? 1 : failed + 1;
      this.say("No connection", "The server does not respond", "The page keeps trying to reach it.");
      this.status = null;
      // a browser does not tell why a WebSocket was not opened: another request does
      const reason = await ask("/v1/indexes", {}, this.askForKey).then(() => null, (error) => error);
      if (signal.aborted) return;
      if (reason && reason.code !== "unreachable") throw reason;
      if (failed >= TRIES) {
        throw reason ?? new Refused("The server answers, but does not follow cameras: a proxy in front of it may not pass on WebSockets.");
      }
      await new Promise((done) => setTimeout(done, WAIT));
      if (signal.aborted) return;
    }
  }

  /** Sends frames and receives answers over one WebSocket; resolves when it is closed. */
  converse(signal) {
    return new Promise((resolve) => {
      const key = currentKey();
      const socket = new WebSocket(trackAddress(this.index()), key ? [PROTOCOL, KEY_PROTOCOL + key] : [PROTOCOL]);
      let [timer, paused, answered, told] = [0, 0, 0, ""];
      const send = async () => {
        // frames that are not sent yet would be dropped there
        if (document.hidden || socket.bufferedAmount || performance.now() < paused) return;
        const timestamp = performance.now() / 1000;
        const frame = await takeFrame(find("follow-video"));
        if (!frame || socket.readyState !== WebSocket.OPEN) return;
        socket.send(JSON.stringify({ type: "frame", timestamp }));
        socket.send(frame);
      };
      socket.onopen = () => {
        send();
        timer = setInterval(send, EVERY);
      };
      socket.onmessage = ({ data }) => {
        const answer = JSON.parse(data);
        if (answer.type === "answer") {
          answered += 1;
          this.take(answer);
        } else if (answer.type === "error") {
          told = answer.error.message;
          find("follow-frame").textContent = told;
          if (["too_many_requests", "too_busy", "not_ready"].includes(answer.error.code)) paused = performance.now() + PAUSE;
        }
      };
      const close = () => socket.close();
      signal.addEventListener("abort", close);
      socket.onclose = ({ code, reason }) => {
        clearInterval(timer);
        signal.removeEventListener("abort", close);
        resolve({ code, message: told || reason, answered });
      };
    });
  }

  /** Shows an answer. */
  take({ track, single, dropped }) {
    if (!this.active) return;
    this.frames += 1;
    const { overline, headline, explanation, state } = inWords(track);
    this.say(overline, headline, explanation, state);
    if (track.status !== this.status) find("spoken").textContent = `${overline}: ${headline}`;
    this.status = track.status;
    const alone = single.place === null ? "" : ` · this frame alone: ${single.place}`;
    const left = dropped ? ` · ${dropped} left out` : "";
    find("follow-frame").textContent = `Frame ${this.frames} · ${single.timings.total_ms.toFixed(0)} ms${left}${alone}`;
    this.draw(track);
  }

  draw({ status, location }) {
    const map = this.map();
    if (!map) return;
    this.layer.addTo(map);
    this.here?.remove();
    this.here = null;
    if (status !== "tracking" || !isOnEarth(location)) {
      this.line = null; // the track continues after a gap
      return;
    }
    const position = [location.latitude, location.longitude];
    const options = { interactive: false };
    this.line ??= L.polyline([], { ...options, className: "track-line" }).addTo(this.layer);
    this.line.addLatLng(position);
    const radius = L.circle(position, { ...options, radius: location.uncertainty_metres, className: "track-radius" }).addTo(this.layer);
    const point = L.circleMarker(position, { ...options, radius: 4, className: "track-point" }).addTo(this.layer);
    this.points.push({ line: this.line, parts: [radius, point] });
    this.here = L.circle(position, { ...options, radius: location.uncertainty_metres, className: "uncertainty track-here" }).addTo(this.layer);
    if (this.points.length > MOST_POINTS) this.takeAwayOldest();
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (this.points.length === 1) map.fitBounds(this.here.getBounds(), { padding: [36, 36], maxZoom: ZOOM, animate: !still });
    else if (!map.getBounds().pad(-0.15).contains(position)) map.panTo(position, { animate: !still });
  }

  takeAwayOldest() {
    const { line, parts } = this.points.shift();
    for (const part of parts) part.remove();
    const rest = line.getLatLngs().slice(1);
    if (rest.length) line.setLatLngs(rest);
    else line.remove();
  }
}

/** The rear camera if there are two; it is switched off when the signal is aborted. */
async function openCamera(signal) {
  if (!navigator.mediaDevices) throw new Error(INSECURE);
  let camera;
  try {
    const video = { facingMode: { ideal: "environment" }, width: { ideal: 1280 } };
    camera = await navigator.mediaDevices.getUserMedia({ video, audio: false });
  } catch (error) {
    throw new Error(CAMERA[error.name] ?? `The camera cannot be used: ${error.message}.`);
  }
  const view = find("follow-video");
  const off = () => {
    for (const track of camera.getTracks()) track.stop();
    if (view.srcObject === camera) view.srcObject = null;
  };
  if (signal.aborted) {
    off();
    throw new Error("The camera is no longer needed.");
  }
  signal.addEventListener("abort", off);
  view.srcObject = camera;
  await view.play();
  return camera;
}

/** What the camera sees now, as a JPEG; null before it sees anything. */
async function takeFrame(view) {
  if (!view.videoWidth) return null;
  const scale = Math.min(1, SIDE / Math.max(view.videoWidth, view.videoHeight));
  const canvas = new OffscreenCanvas(Math.round(view.videoWidth * scale), Math.round(view.videoHeight * scale));
  canvas.getContext("2d").drawImage(view, 0, 0, canvas.width, canvas.height);
  return canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
}

function trackAddress(index) {
  const address = new URL("/v1/track", location.href);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  if (index) address.searchParams.set("index", index);
  return address.href;
}

/** Overline, headline, explanation, and the state that selects their colour. */
function inWords({ status, place, probability, not_on_map: off, location }) {
  if (status === "not_on_map") {
    const explanation = `The camera is probably somewhere else (${percent(off)}). It is found again when it comes back.`;
    return { overline: "Not on this map", headline: "Somewhere else", explanation, state: "absent" };
  }
  if (status === "lost") {
    const guess = place === null ? "" : ` The likeliest is ${place} (${percent(probability)}).`;
    const explanation = `No place has more than half of the probability yet.${guess} Keep moving: further frames will decide.`;
    return { overline: "Lost", headline: "Looking for the place", explanation, state: "closest" };
  }
  const sentences = [`Probability ${percent(probability)}.`];
  if (location) {
    const way = facing(location.heading);
    sentences.push(`At ${coordinates(location)}, accurate to about ${metres(location.uncertainty_metres)}${way ? `, ${way}` : ""}.`);
  }
  return { overline: "Tracking", headline: place ?? "Here", explanation: sentences.join(" "), state: "located" };
}
