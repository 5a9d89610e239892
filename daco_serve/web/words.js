// Numbers formatted for people, and the distance between two positions.

const RAD = Math.PI / 180;
const EARTH_RADIUS = 6371008.8;

export function metres(length) {
  if (length < 10) return `${length.toFixed(1)} m`;
  return length < 1000 ? `${Math.round(length)} m` : `${(length / 1000).toFixed(length < 10000 ? 1 : 0)} km`;
}

export const percent = (share) => (share > 0.99 ? "over 99 %" : share < 0.01 ? "under 1 %" : `${Math.round(100 * share)} %`);

/** Whether a location or a match has a position on the earth, so that a map can show it. */
export const isOnEarth = (place) => Boolean(place) && place.latitude !== null;

/** Latitude and longitude or, if only these are known, metres in a local frame; empty if nothing is known. */
export function coordinates({ latitude, longitude, local }) {
  if (latitude !== null) return `${latitude.toFixed(6)}, ${longitude.toFixed(6)}`;
  return local ? `x ${local.x.toFixed(2)}, y ${local.y.toFixed(2)} m in ${local.frame}` : "";
}

export const facing = (heading) => (heading === null ? "" : `facing ${Math.round(heading) % 360}°`);

/** Distance in metres: on a great circle or, without positions on the earth, in a common local frame; otherwise null. */
export function distance(one, other) {
  if (!isOnEarth(one) || !isOnEarth(other)) {
    const comparable = one.local && one.local.frame === other.local?.frame;
    return comparable ? Math.hypot(one.local.x - other.local.x, one.local.y - other.local.y) : null;
  }
  const half = (degrees) => Math.sin((degrees * RAD) / 2) ** 2;
  const chord =
    half(other.latitude - one.latitude) +
    Math.cos(one.latitude * RAD) * Math.cos(other.latitude * RAD) * half(other.longitude - one.longitude);
  return 2 * EARTH_RADIUS * Math.asin(Math.min(1, Math.sqrt(chord)));
}
