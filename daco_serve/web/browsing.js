// The reference photographs behind the map's dots: picture, place and heading, one after the other.

import { breakable, resized } from "./elements.js";
import { ask, showImage } from "./server.js";
import { coordinates, facing } from "./words.js";

const { L } = globalThis;

export class References {
  constructor(map) {
    this.map = map;
    this.layer = L.layerGroup().addTo(map);
    this.renderer = L.canvas({ padding: 0.3, tolerance: 6 });
    this.popup = L.popup({ className: "reference", minWidth: 220, maxWidth: 240, autoPanPadding: [12, 12] });
    this.places = [];
    this.addButton();
    this.popup.on("remove", () => {
      const focused = document.activeElement;
      if (focused === document.body || this.popup.getElement()?.contains(focused)) this.button.focus();
    });
  }

  /** Draws a dot for each reference photograph: {positions, ids} of the coverage of the index `name`. */
  draw({ positions, ids }, name) {
    if (name !== this.index) this.map.closePopup(this.popup);
    this.index = name;
    this.places = positions.map((position, row) => ({ position, id: ids[row] }));
    this.layer.clearLayers();
    this.button.hidden = !positions.length;
    const color = getComputedStyle(this.map.getContainer()).getPropertyValue("color");
    for (const [row, { position }] of this.places.entries()) {
      L.circleMarker(position, { renderer: this.renderer, radius: 3, stroke: false, fillColor: color, fillOpacity: 0.6 })
        .on("click", () => this.open(row))
        .addTo(this.layer);
    }
  }

  /** The keyboard cannot reach dots on a canvas, but it can walk through the photographs from this button. */
  addButton() {
    const control = L.control({ position: "bottomright" });
    control.onAdd = () => {
      this.button = L.DomUtil.create("button", "browse small");
      this.button.type = "button";
      this.button.textContent = "Browse photographs";
      this.button.hidden = true;
      L.DomEvent.disableClickPropagation(this.button);
      this.button.addEventListener("click", () => this.open(this.nearest(), "Next"));
      return this.button;
    };
    control.addTo(this.map);
  }

  /** The photograph nearest to the middle of the map. */
  nearest() {
    const middle = this.map.getCenter();
    const away = this.places.map(({ position }) => middle.distanceTo(position));
    return away.indexOf(Math.min(...away));
  }

  /** Shows a photograph; its `Next` button gets the focus if the keyboard asked for it. */
  async open(row, focused = null) {
    const { position, id } = this.places[row];
    const body = document.createElement("div");
    body.addEventListener("keydown", (event) => event.key === "Escape" && this.map.closePopup(this.popup));
    const text = document.createElement("span");
    text.className = "hint";
    try {
      const reference = await (await ask(`/v1/references/${id}?index=${encodeURIComponent(this.index)}`)).json();
      const image = document.createElement("img");
      image.alt = `Reference photograph of ${reference.place}`;
      const name = document.createElement("b");
      name.append(...breakable(reference.place));
      text.textContent = [facing(reference.heading), coordinates(reference), reference.floor && `floor ${reference.floor}`].filter(Boolean).join(", ");
      body.append(image, name, text);
      showImage(image, resized(reference.image, 320));
    } catch (error) {
      text.textContent = error.message;
      body.append(text);
    }
    const steps = document.createElement("p");
    const buttons = { Previous: this.stepper("Previous", row, -1), Next: this.stepper("Next", row, 1) };
    steps.append(...Object.values(buttons));
    body.append(steps);
    this.popup.setLatLng(position).setContent(body).openOn(this.map);
    buttons[focused]?.focus();
  }

  stepper(label, row, step) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "small";
    button.textContent = label;
    button.addEventListener("click", (event) => {
      event.stopPropagation(); // else the map takes the popup, which is drawn again, for closed
      this.open((row + step + this.places.length) % this.places.length, label);
    });
    return button;
  }
}
