"""Every data set that can be packed, by the name it has on the command line."""

from __future__ import annotations

from scenograph.data.clevr import Clevr
from scenograph.data.clipart import ClipArt
from scenograph.data.coco import Coco
from scenograph.data.coco_export import CocoExport
from scenograph.data.folder import Folder
from scenograph.data.label_maps import LabelMaps
from scenograph.data.labelme import LabelMe
from scenograph.data.picture_book.source import PictureBook
from scenograph.data.quickdraw import QuickDraw
from scenograph.data.sketchycoco import QuickDrawCoco, SketchyCoco
from scenograph.data.source import Source
from scenograph.data.visual_genome import VisualGenome

SOURCES: dict[str, type[Source]] = {
    "clevr": Clevr,
    "clipart": ClipArt,
    "coco": Coco,
    "coco-export": CocoExport,
    "folder": Folder,
    "label-maps": LabelMaps,
    "labelme": LabelMe,
    "picture-book": PictureBook,
    "quickdraw": QuickDraw,
    "quickdraw-coco": QuickDrawCoco,
    "sketchycoco": SketchyCoco,
    "visual-genome": VisualGenome,
}
