"""Pictures per second and core that a pack yields as training batches, nothing remembered from earlier epochs.

python benchmarks/loading.py packs/coco-64 --image-size 64 --relations sg2im
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import get_args

import torch

from scenograph.data.loader import PackLoader, RelationPolicy
from scenograph.data.pack import pack_splits
from scenograph.scenes.canonical import with_locations


def main() -> None:
    """Measure every split of a pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--mask-size", type=int, default=16)
    parser.add_argument("--relations", choices=get_args(RelationPolicy), default="stored")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for split in pack_splits(options.pack):
        side = (options.image_size, options.image_size)
        loader = PackLoader(options.pack, split, side, options.mask_size, options.relations, cache=0)
        loader.vocabulary = with_locations(loader.vocabulary)
        loader.batch(0, 0, options.batch)
        best, started, step = 0.0, time.perf_counter(), 0
        while time.perf_counter() - started < options.seconds:
            # Processor time, so that other programs on the machine do not count; the best of many short rounds.
            before = time.process_time()
            for _ in range(10):
                step += 1
                loader.batch(0, step, options.batch)
            best = max(best, 10 * options.batch / (time.process_time() - before))
        first = loader.fixed_batch(0, min(256, len(loader)))
        objects, masks = len(first.objects) / first.num_images, first.known_masks.float().mean()
        print(f"{split}: {best:.0f} pictures/s/core ({objects:.1f} objects a scene, {masks:.0%} with masks)")


if __name__ == "__main__":
    main()
