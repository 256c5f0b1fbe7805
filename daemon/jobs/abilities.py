"""What this version can do."""

from daemon.contract.spec import JobSpec
from daemon.errors import SpecInvalid


def refuse_unbuilt(spec: JobSpec) -> None:
    """Refuse what this version cannot do, rather than do something else.

    Raises:
        SpecInvalid: the job asks for a painting.
    """
    if spec.mode == "painterly":
        raise SpecInvalid(
            "mode: painterly is not available in this version; only photo-realistic is",
            hint="Write `mode: photo-realistic` (or leave the line out) and drop the picture again.",
        )
