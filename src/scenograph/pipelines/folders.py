"""What a folder is that was given where a scene is expected."""

from __future__ import annotations

from pathlib import Path

from scenograph.scenes.png import SHOWN, is_png, read_record


def what_folder(folder: Path) -> str:
    """What a folder is, and how to use it, as an error says it."""
    if (folder / "pack.json").is_file():
        return f"{folder} is a pack; generate its scenes with: scenograph generate --pack {folder} --split NAME"
    if (folder / "model.safetensors").is_file():
        return f"{folder} is a model; name it with --layout, --image or --model, and give a scene"
    if (folder / "request.json").is_file() and (folder / "chunks").is_dir():
        return f"{folder} is an evaluation, not a scene; scenograph data export {folder} takes its pictures"
    if (folder / "model" / "model.safetensors").is_file():
        return f"{folder} is a training run; name its model, {folder / 'model'}, and give a scene"
    scenes = sorted(folder.glob("*.json"))
    if scenes:
        return f"{folder} is a folder with {len(scenes)} .json files; give one of them, such as {scenes[0]}"
    made = next((path for path in sorted(folder.glob("*.png")) if is_png(path) and read_record(path, SHOWN)), None)
    if made is not None:
        return f"{folder} is a folder of generated pictures; give one of them, such as {made}"
    return f"{folder} is a folder, not a scene; give a scene file (.json), a line of text or a generated picture (.png)"
