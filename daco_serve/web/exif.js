// The EXIF position of a JPEG, PNG or WebP, which is read in the browser and sent nowhere.

const HEAD = 256 * 1024; // where EXIF is, if there is any
const GPS = 0x8825;

/** {latitude, longitude} in degrees, or null if the file has no position. */
export async function readPosition(file) {
  try {
    const view = new DataView(await file.slice(0, HEAD).arrayBuffer());
    const start = findTiff(view);
    return start === null ? null : readGps(view, start);
  } catch {
    return null; // truncated or damaged
  }
}

/** Where the TIFF header of the EXIF data begins. */
function findTiff(view) {
  if (view.getUint16(0) === 0xffd8) return findInJpeg(view);
  if (view.getUint32(0) === 0x89504e47) return findInChunks(view, 8, "eXIf", false);
  if (text(view, 0, 4) === "RIFF" && text(view, 8, 4) === "WEBP") return findInChunks(view, 12, "EXIF", true);
  return null;
}

function findInJpeg(view) {
  for (let at = 2; at + 10 < view.byteLength && view.getUint8(at) === 0xff; at += 2 + view.getUint16(at + 2)) {
    if (view.getUint8(at + 1) === 0xe1 && text(view, at + 4, 4) === "Exif") return at + 10;
    if (view.getUint8(at + 1) === 0xda) return null;
  }
  return null;
}

function findInChunks(view, first, name, webp) {
  for (let at = first; at + 8 < view.byteLength; ) {
    const length = webp ? view.getUint32(at + 4, true) : view.getUint32(at);
    const kind = text(view, webp ? at : at + 4, 4);
    if (kind === name) return text(view, at + 8, 4) === "Exif" ? at + 14 : at + 8;
    at += webp ? 8 + length + (length % 2) : 12 + length;
  }
  return null;
}

function readGps(view, start) {
  const little = view.getUint16(start) === 0x4949;
  const u16 = (at) => view.getUint16(start + at, little);
  const u32 = (at) => view.getUint32(start + at, little);
  const entries = (at) => {
    const found = new Map();
    for (let row = 0; row < u16(at); row++) found.set(u16(at + 2 + 12 * row), at + 2 + 12 * row);
    return found;
  };
  const pointer = entries(u32(4)).get(GPS);
  if (pointer === undefined) return null;
  const gps = entries(u32(pointer + 8));
  const rational = (at) => u32(at) / u32(at + 4);
  const angle = (tag) => {
    const at = u32(gps.get(tag) + 8);
    return rational(at) + rational(at + 8) / 60 + rational(at + 16) / 3600;
  };
  const letter = (tag) => String.fromCharCode(view.getUint8(start + gps.get(tag) + 8));
  if (![1, 2, 3, 4].every((tag) => gps.has(tag))) return null;
  const latitude = angle(2) * (letter(1) === "S" ? -1 : 1);
  const longitude = angle(4) * (letter(3) === "W" ? -1 : 1);
  const sane = Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180 && (latitude !== 0 || longitude !== 0);
  return sane ? { latitude, longitude } : null;
}

function text(view, at, length) {
  return String.fromCharCode(...Array.from({ length }, (_, place) => view.getUint8(at + place)));
}
