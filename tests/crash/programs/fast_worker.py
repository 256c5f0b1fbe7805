"""A worker program that speaks the protocol and writes a small result at once; uses only the standard library.

A picture's first word says how: `good`; `slow` takes half a second; `crash` writes half a result and dies; `before PATH` and
`after PATH` wait for a file to be there before the result is written, and after. PATH ends with the line.
"""

import argparse
import errno
import hashlib
import json
import os
import sys
import time


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--warm")
    parser.add_argument("--events-fd", type=int)
    chosen = parser.parse_args()

    def say(**event) -> None:
        os.write(chosen.events_fd, json.dumps(event).encode() + b"\n")

    say(type="hello", protocol=1, pid=os.getpid())
    say(type="ready", warm=chosen.warm)
    line = sys.stdin.readline()
    if not line:
        return
    command = json.loads(line)
    say(type="started", job_id=command["job_id"])
    with open(os.path.join(command["source"], command["image"]), "rb") as file:
        picture = file.read()
    word = picture.split()[0]
    say(type="progress", stage="fill", fraction=0.5)
    print("working on", command["image"], flush=True)
    contents = {"Layer_1_background.png": b"far " + picture, "Layer_2_foreground.png": b"near " + picture[:4096] * 1000}
    result = os.path.join(command["attempt"], "result")
    await_file(picture, b"before")
    os.mkdir(result)
    manifest = json.dumps(
        {
            "width": 4,
            "height": 2,
            "layers": [layer(i, name, data) for i, (name, data) in enumerate(contents.items(), start=1)],
            "split": {"method": "natural", "thresholds": [0.5]},
            "depth": {"source": "file", "polarity": "disparity"},
            "recomposition": {"max_error": 0, "raised_alpha": 0},
            "threads": 1,
            "versions": {},
        }
    ).encode()
    for name, data in {**contents, "layer_manifest.json": manifest}.items():
        try:
            with open(os.path.join(result, name), "wb") as file:
                file.write(data)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            told = {"code": "disk_full", "message": "There is no room left.", "hint": "Make room."}
            say(type="error", error=told)
            sys.exit(44)
        if word == b"slow":
            time.sleep(0.15)
        if word == b"crash":
            os._exit(3)
    await_file(picture, b"after")
    outputs = [
        {"path": f"result/{name}", "kind": "layer", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in {**contents, "layer_manifest.json": manifest}.items()
    ]
    source = {"image": command["image"], "bytes": len(picture), "sha256": hashlib.sha256(picture).hexdigest()}
    say(type="result", source=source, outputs=outputs, manifest="result/layer_manifest.json")


def await_file(picture: bytes, word: bytes) -> None:
    first, _, path = picture.partition(b"\n")[0].partition(b" ")
    while first == word and not os.path.exists(path):
        time.sleep(0.01)


def layer(index: int, name: str, data: bytes) -> dict:
    return {
        "index": index,
        "name": name,
        "file": name,
        "depth_range": [0, 1],
        "coverage": 0.5,
        "bbox": None,
        "sha256": hashlib.sha256(data).hexdigest(),
    }


if __name__ == "__main__":
    main()
