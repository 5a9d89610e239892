"""Which two conditions are compared, and which published data set and translators belong to them."""

from dataclasses import dataclass

from daco_core.errors import UsageError

RENDERED = "rendered"  # twins: the other domain's photograph of the same place, as a perfect translator would make it

# published data set -> the conditions of the rendered city that are closest to it
PUBLISHED = {
    ("day", "night"): "tokyo",
    ("sunset", "rainy-night"): "synthia",
    ("day", "fog"): "cityscapes",
}
FOG_TWINS = ("fog", "fourier", RENDERED)
NIGHT_TWINS = ("night", "fourier", RENDERED)
OTHER_TWINS = ("fourier", RENDERED)


@dataclass(frozen=True)
class Conditions:
    """Two conditions of the rendered city: domain a and domain b of a data set."""

    first: str
    second: str

    @classmethod
    def parse(cls, text: str) -> "Conditions":
        """The conditions of `day/night`.

        Raises:
            UsageError: the text is not two different conditions that can be rendered.
        """
        from daco_training.city.rendering.conditions import DOMAINS

        parts = text.split("/")
        if len(parts) != 2 or len(set(parts)) != 2 or any(part not in DOMAINS for part in parts):
            raise UsageError(
                f"Conditions are two of {', '.join(DOMAINS)}, with a slash between them as in day/night; not {text!r}."
            )
        return cls(*parts)

    @property
    def name(self) -> str:
        """The name of their data set, `day-night`."""
        return f"{self.first}-{self.second}"

    @property
    def published(self) -> str | None:
        """The published data set of the same conditions, if there is one."""
        return PUBLISHED.get((self.first, self.second))

    @property
    def twins(self) -> tuple[str, ...]:
        """The twins of daco, those of the contender `daco` first."""
        if "fog" in (self.first, self.second):
            return FOG_TWINS
        return NIGHT_TWINS if "night" in self.name else OTHER_TWINS
