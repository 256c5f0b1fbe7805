"""A worker that speaks the protocol and writes a small result at once; uses only the standard library.

A picture's first word says what happens: `hang` waits until it is told to stop, `torn` is cut off while its last word is
not `end`, `huge` gives a result of many gigabytes that take no room, with a wrong checksum; any other is done.
"""

import argparse
import hashlib
import json
import os
import re
import sys


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--warm")
    parser.add_argument("--events-fd", type=int)
    chosen = parser.parse_args()

    def say(**event: object) -> None:
        os.write(chosen.events_fd, json.dumps(event).encode() + b"\n")

    say(type="hello", protocol=1, pid=os.getpid())
    say(type="ready", warm=chosen.warm)
    line = sys.stdin.readline()
    if not line:
        return
    command = json.loads(line)
    say(type="started", job_id=command["job_id"])
    image = os.path.join(command["source"].encode(), image_bytes(command["image"]))
    fd = os.open(image, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(fd, "rb") as file:
        picture = file.read()
    say(type="progress", stage="split", fraction=0.5)
    # What looks at the beginning of a file is to take it for a picture.
    words = picture.removeprefix(b"GIF89a").split() or [b""]
    if words[0] == b"hang":
        while json.loads(sys.stdin.readline())["type"] != "cancel":
            continue
        fail(say, "cancelled", 50)
    if words[0] == b"torn" and words[-1] != b"end":
        fail(say, "image_unreadable", 24, detail="truncated: the last word is not end")
    contents = {"Layer_1_background.png": b"far " + picture, "Layer_2_foreground.png": b"near " + picture}
    layers = [
        {
            "index": i,
            "name": name,
            "file": name,
            "depth_range": [0, 1],
            "coverage": 0.5,
            "bbox": None,
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        for i, (name, data) in enumerate(contents.items(), start=1)
    ]
    manifest = {
        "width": 4,
        "height": 2,
        "layers": layers,
        "split": {"method": "natural", "thresholds": [0.5]},
        "depth": {"source": "file", "polarity": "disparity"},
        "recomposition": {"max_error": 0, "raised_alpha": 0},
        "threads": 1,
        "versions": {},
    }
    contents["layer_manifest.json"] = json.dumps(manifest).encode()
    result = os.path.join(command["attempt"], "result")
    os.mkdir(result)
    for name, data in contents.items():
        with open(os.path.join(result, name), "wb") as file:
            file.write(data)
    outputs = [
        {"path": f"result/{name}", "kind": "layer", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in contents.items()
    ]
    if words[0] == b"huge":
        with open(os.path.join(result, "huge.psd"), "wb") as file:
            file.truncate(18_000_000_000)
        outputs.insert(0, {"path": "result/huge.psd", "kind": "psd", "bytes": 18_000_000_000, "sha256": "0" * 64})
    source = {"image": command["image"], "bytes": len(picture), "sha256": hashlib.sha256(picture).hexdigest()}
    say(type="result", source=source, outputs=outputs, manifest="result/layer_manifest.json")


def image_bytes(text: str) -> bytes:
    r"""The file name for a text from `daemon.contract.names`: ``\xNN`` is a byte, a doubled backslash is one backslash."""
    return re.sub(rb"\\(?:\\|x([0-9a-f]{2}))", lambda m: bytes([int(m[1], 16)]) if m[1] else b"\\", text.encode())


def fail(say, code: str, status: int, **more: str) -> None:
    say(type="error", error={"code": code, "message": f"it is {code}", "hint": "try", **more}, warnings=[])
    os._exit(status)


if __name__ == "__main__":
    main()
