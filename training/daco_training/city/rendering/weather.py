"""The effects of air and camera on light: fog from depth, exposure, noise, tone. Arrays only, no renderer."""

import numpy as np

CONTRAST_THRESHOLD = 0.05  # of the meteorological optical range: the contrast that remains at the visibility distance
MIN_VISIBILITY, MAX_VISIBILITY = 40.0, 150.0  # metres
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # Rec. 709


def extinction(visibility: float) -> float:
    """Extinction coefficient per metre of air with this visibility in metres: beta = -ln(0.05) / V = 2.996 / V.

    Koschmieder (1924), with the 5 % contrast of the meteorological optical range (WMO-No. 8, chapter 9).
    """
    return -float(np.log(CONTRAST_THRESHOLD)) / visibility


def add_fog(
    radiance: np.ndarray, distance: np.ndarray, coverage: np.ndarray, visibility: float, airlight: np.ndarray
) -> np.ndarray:
    """Koschmieder's law in linear radiance: I = R t + A (1 - t) with t = exp(-beta d); the sky is only airlight.

    Args:
        radiance: clear radiance of everything except sky, (h, w, 3), already weighted by coverage.
        distance: metres along the ray to what is not sky, (h, w); any value where coverage is 0.
        coverage: share of the pixel that is not sky, (h, w), 0 to 1.
        visibility: metres.
        airlight: radiance of the fog, (3,).

    Returns:
        Radiance (h, w, 3).
    """
    passed = np.exp(-extinction(visibility) * np.maximum(distance, 0.0)) * (coverage > 0)
    air = 1.0 - coverage * passed
    return np.asarray(radiance * passed[..., None] + airlight * air[..., None])


def draw_visibility(rng: np.random.Generator) -> float:
    """A visibility in metres, log-uniform between MIN_VISIBILITY and MAX_VISIBILITY."""
    return float(np.exp(rng.uniform(np.log(MIN_VISIBILITY), np.log(MAX_VISIBILITY))))


def expose(radiance: np.ndarray, grey: float, error: float) -> np.ndarray:
    """Auto exposure: scales the log-average luminance to `grey` (sensor full scale is 1), off by `error` stops.

    The log-average is Reinhard et al. 2002, equation 1. `radiance` is (h, w, 3).
    """
    luminance = radiance @ LUMINANCE
    floor = 1e-3 * max(float(luminance.mean()), 1e-9)
    average = float(np.exp(np.log(luminance + floor).mean()))
    return np.asarray(radiance * (grey / average * 2.0**error))


def add_glare(image: np.ndarray, share: float, radius: float) -> np.ndarray:
    """Veiling glare of a lens: `share` of the light is spread by two Gaussians, `radius` and 4 `radius` pixels wide.

    `image` is linear, (h, w, 3); light beyond 30 times full scale is clipped first.
    """
    margin = int(4 * radius)
    padded = np.pad(np.minimum(image, 30.0), ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    down, across = np.fft.fftfreq(padded.shape[0])[:, None], np.fft.rfftfreq(padded.shape[1])[None]
    falloff = -2.0 * np.pi**2 * (down**2 + across**2)
    near, far = np.exp(falloff * radius**2), np.exp(falloff * (4 * radius) ** 2)
    spread = (1.0 - share) + share * (0.6 * near + 0.4 * far)
    glared = np.fft.irfft2(np.fft.rfft2(padded, axes=(0, 1)) * spread[..., None], s=padded.shape[:2], axes=(0, 1))
    return np.maximum(glared[margin:-margin, margin:-margin], 0.0)


def add_sensor_noise(image: np.ndarray, rng: np.random.Generator, full_well: float, read_noise: float) -> np.ndarray:
    """Adds shot noise (Poisson) and read noise (Gaussian), both in electrons of a sensor that saturates at 1.

    A higher ISO means fewer electrons at full scale. `image` is linear, (h, w, 3).
    """
    electrons = rng.poisson(np.clip(image, 0.0, 4.0) * full_well) + read_noise * rng.standard_normal(image.shape)
    return np.asarray(electrons / full_well)


def develop(image: np.ndarray) -> np.ndarray:
    """Linear sensor values (h, w, 3) to 8-bit sRGB: a soft shoulder for highlights, then IEC 61966-2-1."""
    value = np.maximum(image, 0.0)
    value = np.where(value > 0.6, 0.6 + 0.4 * (1.0 - np.exp(-(np.maximum(value, 0.6) - 0.6) / 0.4)), value)
    coded = np.where(value <= 0.0031308, 12.92 * value, 1.055 * np.maximum(value, 1e-9) ** (1 / 2.4) - 0.055)
    return np.asarray(np.clip(coded, 0.0, 1.0) * 255.0 + 0.5, np.uint8)
