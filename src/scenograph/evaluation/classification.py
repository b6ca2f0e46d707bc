"""The metric ``classification``: what does a classifier learn from generated crops alone (Ravuri & Vinyals 2019)?

Trained on generated crops of 32 pixels, tested on real ones, by the settings that LAMA's and LostGAN's scores were
made with: SGD, batch 128, rate 0.1 divided by ten at half and three quarters, crops shifted by up to 4 pixels and
mirrored. The score is the accuracy after the last epoch.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from scenograph.errors import UserError
from scenograph.evaluation.figure import Figure, mean_figure
from scenograph.evaluation.metric import Metric
from scenograph.evaluation.session import Chunk, Evaluation, Progress
from scenograph.files import write_atomically
from scenograph.nn.resnet import ResNet
from scenograph.training.checkpoints import load_checkpoint, save_checkpoint

SIDE = 32
BATCH = 128
RATE = 0.1


class ClassificationMetric(Metric):
    """Accuracy on real crops of a network that was trained on generated ones."""

    title = "Learning from generated objects"
    needs = frozenset({"pictures", "real pictures"})
    order = 50
    headline = ("classification_accuracy",)

    def measure(self, chunk: Chunk) -> dict[str, np.ndarray]:
        """Categories of the crops, which are kept in a file beside the others."""
        crops = list(chunk.crops(SIDE))
        stacked = np.stack(crops) if crops else np.zeros((0, SIDE, SIDE, 3), dtype=np.uint8)
        write_atomically(_crops_file(chunk.file), lambda stream: np.save(stream, stacked))
        index = self.layouts.vocabulary.category_index
        return {"crop labels": np.array([index[category] for _, _, category in chunk.boxed], dtype=np.int64)}

    def figures(self, evaluation: Evaluation, progress: Progress) -> list[Figure]:
        """The accuracy; its curve over the epochs goes into a file."""
        network, epochs = evaluation.protocol.classification_network, evaluation.protocol.classification_epochs
        folder = evaluation.folder / "classification"
        right, curve = classification_accuracy(
            _crops(evaluation, evaluation.measured),
            _crops(evaluation, evaluation.referenced),
            network,
            epochs,
            folder,
            self.tools.device,
            progress=lambda epoch: progress("classification", epoch, epochs),
        )
        write_atomically(folder / "curve.json", json.dumps(curve).encode())
        return [
            mean_figure(
                "classification_accuracy", right, f"real crops recognised by a {network} trained on generated ones"
            )
        ]


def _crops_file(measures: Path) -> Path:
    return measures.with_name(measures.name.replace("measures", "crops")).with_suffix(".npy")


def _crops(evaluation: Evaluation, file: Callable[[int], Path]) -> CropFiles:
    """All crops, of generated or real pictures by their files of measures."""
    paths, labels = [file(chunk) for chunk in range(evaluation.layouts.chunks)], []
    for path in paths:
        with np.load(path) as found:
            labels.append(found["crop labels"])
    return CropFiles([_crops_file(path) for path in paths], labels)


class CropFiles:
    """Crops (N, 32, 32, 3) uint8 in several files, read where they are needed, and their labels (N,)."""

    def __init__(self, files: list[Path], labels: list[np.ndarray]) -> None:
        self.files = [np.load(file, mmap_mode="r") for file in files]
        self.starts = np.cumsum([0, *(len(part) for part in labels)])
        self.labels = np.concatenate(labels) if labels else np.zeros(0, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        parts = np.searchsorted(self.starts, rows, side="right") - 1
        crops = np.stack([self.files[part][row - self.starts[part]] for part, row in zip(parts, rows, strict=True)])
        images = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 127.5 - 1
        return images, torch.from_numpy(self.labels[rows])


def classification_accuracy(
    generated: CropFiles,
    real: CropFiles,
    network: str,
    epochs: int,
    folder: Path,
    device: torch.device,
    seed: int = 0,
    progress: Callable[[int], None] = lambda epoch: None,
) -> tuple[np.ndarray, dict[str, float]]:
    """Train, then say for each real crop whether it was recognised (N,), with the curve of test accuracies.

    ``folder`` keeps a checkpoint per epoch, from which the same call continues. Raises ``UserError`` without crops.
    """
    if len(generated) < BATCH or not len(real):
        raise UserError(f"classification needs {BATCH} generated crops and a real one, found {len(generated)}")
    torch.manual_seed(seed)
    classes = int(max(generated.labels.max(), real.labels.max())) + 1
    model = ResNet(int(network.removeprefix("resnet-")), classes).to(device)
    optimizer = torch.optim.SGD(model.parameters(), RATE, momentum=0.9, weight_decay=1e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [epochs // 2, epochs * 3 // 4])
    curve: dict[str, float] = {}
    start = 0
    state = load_checkpoint(folder)
    if state is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        start, curve = state["step"], state["curve"]
    for epoch in range(start, epochs):
        _train_epoch(model, optimizer, generated, np.random.default_rng([seed, epoch]), device)
        schedule.step()
        curve[str(epoch + 1)] = float(_recognised(model, real, device).mean())
        save_checkpoint(
            folder,
            epoch + 1,
            {
                "step": epoch + 1,
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "curve": curve,
            },
        )
        progress(epoch + 1)
    return _recognised(model, real, device), curve


def _train_epoch(
    model: ResNet, optimizer: torch.optim.Optimizer, crops: CropFiles, rng: np.random.Generator, device: torch.device
) -> None:
    model.train()
    order = rng.permutation(len(crops))
    for start in range(0, len(order) - BATCH + 1, BATCH):
        images, labels = crops[order[start : start + BATCH]]
        loss = F.cross_entropy(model(_augmented(images, rng).to(device)), labels.to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def _augmented(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Shifted by up to 4 pixels, zeros coming in, and mirrored with even chance."""
    padded = F.pad(images, (4, 4, 4, 4))
    shifts, turned = rng.integers(0, 9, (len(images), 2)), rng.random(len(images)) < 0.5
    cut = [one[:, y : y + SIDE, x : x + SIDE] for one, (y, x) in zip(padded, shifts, strict=True)]
    return torch.stack([one.flip(2) if turn else one for one, turn in zip(cut, turned, strict=True)])


def _recognised(model: ResNet, crops: CropFiles, device: torch.device) -> np.ndarray:
    model.eval()
    results = []
    with torch.inference_mode():
        for start in range(0, len(crops), 2 * BATCH):
            images, labels = crops[np.arange(start, min(start + 2 * BATCH, len(crops)))]
            results.append((model(images.to(device)).argmax(dim=1).cpu() == labels).numpy())
    return np.concatenate(results)
