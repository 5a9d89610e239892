// Numbers as people read them, and the distance between two positions.

const RAD = Math.PI / 180;
const EARTH_RADIUS = 6371008.8;

export function metres(length) {
  if (length < 10) return `${length.toFixed(1)} m`;
  return length < 1000 ? `${Math.round(length)} m` : `${(length / 1000).toFixed(length < 10000 ? 1 : 0)} km`;
}

export const percent = (share) => (share > 0.99 ? "over 99 %" : share < 0.01 ? "under 1 %" : `${Math.round(100 * share)} %`);

/** Whether a position is known in degrees; that of a map in a local frame without an anchor is not. */
export const isOnEarth = (where) => where?.latitude != null;

/** Degrees, or else metres in the local frame. */
export function coordinates({ latitude, longitude, local }) {
  if (latitude !== null) return `${latitude.toFixed(6)}, ${longitude.toFixed(6)}`;
  return `x ${local.x.toFixed(2)}, y ${local.y.toFixed(2)} m in ${local.frame}`;
}

export const facing = (heading) => (heading === null ? "" : `facing ${Math.round(heading) % 360}°`);

/** Metres: along the great circle, or in the local frame of both where one has no degrees; null where nothing ties them. */
export function distance(one, other) {
  if (!isOnEarth(one) || !isOnEarth(other)) {
    if (!one.local || one.local.frame !== other.local?.frame) return null;
    return Math.hypot(other.local.x - one.local.x, other.local.y - one.local.y);
  }
  const half = (degrees) => Math.sin((degrees * RAD) / 2) ** 2;
  const chord =
    half(other.latitude - one.latitude) +
    Math.cos(one.latitude * RAD) * Math.cos(other.latitude * RAD) * half(other.longitude - one.longitude);
  return 2 * EARTH_RADIUS * Math.asin(Math.min(1, Math.sqrt(chord)));
}
