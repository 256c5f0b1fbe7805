"""The names of the layers and of the files in a result. Where they are numbered, the number is the layer's place from the back."""

from dataclasses import dataclass

#: From this many layers on, numbers have two digits, so that the names sort.
_TWO_DIGITS = 10
#: Characters that a disk or a share may refuse in a name.
_REFUSED = '/\\:*?"<>|'
#: In bytes. The longest name that common file systems allow has 255; the longest ending added here has 25.
_LONGEST = 200


@dataclass(frozen=True)
class FileNames:
    """The names of the files in a result.

    Attributes:
        photo: the photo's name, with which they begin; None for plain names, which are the same for every photo.
    """

    photo: str | None = None

    def layers(self, count: int) -> tuple[str, ...]:
        """The PNG files of the layers, back to front: `Layer_1_background.png` … `Layer_N_foreground.png`.

        Raises:
            ValueError: fewer than two layers.
        """
        return tuple(
            self._named(f"Layer_{_number(place, count)}_{role}.png") for place, role in enumerate(_roles(count), 1)
        )

    def layered(self, ending: str) -> str:
        """The file with all layers: `layers.psd`, or `beach.psd` with the photo's name."""
        return f"{self.photo or 'layers'}.{ending}"

    @property
    def depth_map(self) -> str:
        """The depth map."""
        return self._named("depth_map.png")

    @property
    def composite(self) -> str:
        """The layers put back together."""
        return self._named("composite.png")

    @property
    def contact_sheet(self) -> str:
        """All layers on one sheet."""
        return self._named("contact_sheet.jpg")

    def _named(self, name: str) -> str:
        return name if self.photo is None else f"{self.photo}_{name}"


def layer_names(count: int) -> tuple[str, ...]:
    """Names of the layers for people, back to front, each unique: Background, Midground 2, Midground 3 …, Foreground.

    The numbers are those of the files. A single midground needs none.

    Raises:
        ValueError: fewer than two layers.
    """
    return tuple(
        f"{role.capitalize()} {_number(place, count)}" if role == "midground" and count > 3 else role.capitalize()
        for place, role in enumerate(_roles(count), 1)
    )


def photo_name(stem: str) -> str:
    """The name of a photo, without its ending, as the beginning of other files' names on any disk."""
    name = "".join("-" if c in _REFUSED or not c.isprintable() else c for c in stem).lstrip(".- ").rstrip(". ")
    while len(name.encode()) > _LONGEST:
        name = name[:-1]
    return name or "photo"


def _number(place: int, count: int) -> str:
    return f"{place:02}" if count >= _TWO_DIGITS else str(place)


def _roles(count: int) -> tuple[str, ...]:
    if count < 2:
        raise ValueError(f"a stack has at least two layers, not {count}")
    return ("background", *["midground"] * (count - 2), "foreground")
