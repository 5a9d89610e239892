// The background of the map: a plain colour, the vector tiles of a file on this server, or those of a tile server.

const { L } = globalThis;
const MAP_FILE = "/web/map.pmtiles";
const READER = "/web/protomaps/protomaps-leaflet.js"; // loaded only where there is such a file
const DARK = matchMedia("(prefers-color-scheme: dark)");

const Paper = L.GridLayer.extend({
  createTile() {
    return L.DomUtil.create("div", "paper");
  },
});

/** Adds the layer that the settings name. */
export async function addBase(map, { tiles, tiles_file_zoom: fileZoom, attribution }) {
  map.attributionControl?.setPrefix(false);
  if (tiles) {
    L.tileLayer(tiles, { maxZoom: 21, maxNativeZoom: 19, attribution: escaped(attribution), referrerPolicy: "strict-origin" }).addTo(map);
    return;
  }
  const paper = new Paper({ maxZoom: 21 }).addTo(map);
  if (fileZoom === null) return;
  await load(READER);
  const streets = () => globalThis.protomapsL.leafletLayer({
    url: MAP_FILE,
    flavor: DARK.matches ? "dark" : "light",
    lang: navigator.language.slice(0, 2),
    maxDataZoom: fileZoom,
    maxZoom: 21,
    attribution: escaped(attribution),
  });
  let shown = streets().addTo(map);
  paper.remove();
  DARK.addEventListener("change", () => {
    shown.remove();
    shown = streets().addTo(map);
  });
}

function load(address) {
  return new Promise((loaded, failed) => {
    const script = document.createElement("script");
    script.src = address;
    script.addEventListener("load", loaded);
    script.addEventListener("error", () => failed(new Error(`${address} could not be loaded.`)));
    document.head.append(script);
  });
}

function escaped(text) {
  const element = document.createElement("span");
  element.textContent = text;
  return element.innerHTML;
}
