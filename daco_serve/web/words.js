// Numbers as people read them, and the distance between two positions.

const RAD = Math.PI / 180;
const EARTH_RADIUS = 6371008.8;

export function metres(length) {
  if (length < 10) return `${length.toFixed(1)} m`;
  return length < 1000 ? `${Math.round(length)} m` : `${(length / 1000).toFixed(length < 10000 ? 1 : 0)} km`;
}

export const percent = (share) => (share > 0.99 ? "over 99 %" : share < 0.01 ? "under 1 %" : `${Math.round(100 * share)} %`);

export const coordinates = ({ latitude, longitude }) => `${latitude.toFixed(6)}, ${longitude.toFixed(6)}`;

export const facing = (heading) => (heading === null ? "" : `facing ${Math.round(heading) % 360}°`);

/** Great-circle distance in metres. */
export function distance(one, other) {
  const half = (degrees) => Math.sin((degrees * RAD) / 2) ** 2;
  const chord =
    half(other.latitude - one.latitude) +
    Math.cos(one.latitude * RAD) * Math.cos(other.latitude * RAD) * half(other.longitude - one.longitude);
  return 2 * EARTH_RADIUS * Math.asin(Math.min(1, Math.sqrt(chord)));
}
