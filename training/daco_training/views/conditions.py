"""Simulates random conditions of a view: local light, exposure, white balance, lens and sensor."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2 import functional as tv


@dataclass(frozen=True)
class Condition:
    """The random parameters for one view; None or 1 if they change nothing.

    Args:
        blur: standard deviation of the lens's blur, as a share of the view's side.
        gamma: exponent of the values: below 1 it brightens shadows.
        light: (g, g) logarithms of a gain that varies slowly over the image: lamps, shadow, a dark or a bright sky.
        gains: of red, green and blue.
        grey: whether colours are removed.
        levels: the quantiles of the values that become black and white, as with automatic gain of a camera.
        noise: standard deviation of the sensor's noise, and whether it is the same in all channels.
        seed: of the noise.
    """

    blur: float | None
    gamma: float
    light: np.ndarray | None
    gains: tuple[float, float, float]
    grey: bool
    levels: tuple[float, float] | None
    noise: tuple[float, bool] | None
    seed: int


def draw_condition(random: np.random.Generator) -> Condition:
    """Draws a condition. The ranges reach from a bright day to a night with amplified sensor noise."""
    exposure = math.exp(random.normal(0.0, 0.3)) if random.random() < 0.5 else 1.0
    balance = random.normal(0.0, 0.15, 3) if random.random() < 0.7 else np.zeros(3)
    red, green, blue = (exposure * math.exp(value) for value in balance)
    cells = int(random.integers(2, 6))
    return Condition(
        blur=random.uniform(0.0, 0.006) if random.random() < 0.5 else None,
        gamma=math.exp(random.uniform(-0.7, 0.7)) if random.random() < 0.8 else 1.0,
        light=random.normal(0.0, 0.4, (cells, cells)) if random.random() < 0.6 else None,
        gains=(red, green, blue),
        grey=random.random() < 0.3,
        levels=(random.uniform(0.0, 0.05), random.uniform(0.93, 1.0)) if random.random() < 0.3 else None,
        noise=(random.uniform(0.0, 0.08), random.random() < 0.5) if random.random() < 0.5 else None,
        seed=int(random.integers(2**31)),
    )


def apply_condition(view: Tensor, condition: Condition) -> Tensor:
    """Applies a condition to a view, (3, h, w) in 0..1."""
    height, width = view.shape[-2:]
    if condition.blur is not None:
        sigma = max(condition.blur * width, 1e-2)
        reach = 2 * math.ceil(2 * sigma) + 1
        view = tv.gaussian_blur(view, [reach, reach], [sigma, sigma])
    if condition.gamma != 1.0:
        view = view.clamp(min=0) ** condition.gamma
    gains = torch.tensor(condition.gains, dtype=view.dtype, device=view.device)[:, None, None]
    if condition.light is not None:
        light = torch.as_tensor(condition.light, dtype=view.dtype, device=view.device)[None, None]
        gains = gains * functional.interpolate(light, (height, width), mode="bicubic", align_corners=True)[0].exp()
    view = view * gains
    if condition.grey:
        view = tv.rgb_to_grayscale(view, num_output_channels=3)
    if condition.levels is not None:
        ends = torch.tensor(condition.levels, dtype=view.dtype, device=view.device)
        black, white = torch.quantile(view[:, ::4, ::4].flatten(), ends)
        view = (view - black) / (white - black).clamp(min=0.02)
    if condition.noise is not None:
        strength, alike = condition.noise
        generator = torch.Generator(view.device).manual_seed(condition.seed)
        noise = torch.randn(1 if alike else 3, height, width, generator=generator, device=view.device)
        view = view + strength * noise
    return view.clamp(0, 1)
