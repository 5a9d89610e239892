// What lies under the map's marks: plain paper, the tiles of a file on this server, or those of a tile server.

const { L } = globalThis;
const MAP_FILE = "/web/map.pmtiles"; // served where the server was started with a file of tiles
const READERS = { vector: "/web/protomaps/protomaps-leaflet.js", image: "/web/protomaps/pmtiles.js" };
const DARK = matchMedia("(prefers-color-scheme: dark)");

const Paper = L.GridLayer.extend({
  createTile() {
    return L.DomUtil.create("div", "paper");
  },
});

/** Adds the layer that the settings name; the code that reads a file of tiles is loaded only where there is one. */
export async function addBase(map, { tiles, tiles_file: kind, attribution }) {
  if (attribution) map.attributionControl.setPrefix(false);
  if (tiles) {
    L.tileLayer(tiles, { maxZoom: 21, maxNativeZoom: 19, attribution: escaped(attribution), referrerPolicy: "strict-origin" }).addTo(map);
    return;
  }
  const paper = new Paper({ maxZoom: 21 }).addTo(map);
  if (!kind) return;
  await load(READERS[kind]);
  const layer = kind === "vector" ? vectorLayer() : imageLayer();
  map.attributionControl.addAttribution(escaped(attribution));
  layer.addTo(map);
  paper.remove();
  if (kind !== "vector") return;
  let shown = layer;
  DARK.addEventListener("change", () => {
    shown.remove();
    shown = vectorLayer().addTo(map);
  });
}

/** Streets, water and names drawn here, from the tiles that https://docs.protomaps.com describes. */
function vectorLayer() {
  return globalThis.protomapsL.leafletLayer({ url: MAP_FILE, flavor: DARK.matches ? "dark" : "light", lang: navigator.language.slice(0, 2), maxZoom: 21, attribution: "" });
}

function imageLayer() {
  const { PMTiles, leafletRasterLayer } = globalThis.pmtiles;
  return leafletRasterLayer(new PMTiles(MAP_FILE), { maxZoom: 21 });
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
