"""Scene Designer's composition of layouts and sketched scenes, against recordings of the original."""

import pytest
import torch

from recordings import arrays, close
from scenograph.models.spade import Spade, SpadeConfig
from scenograph.nn.composition import compose_sketches, composed, label_maps, sampled, spread_boxes, without_holes
from scenograph.nn.painting import paint_vectors
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.scene import Scene, SceneObject
from scenograph.scenes.vocabulary import Vocabulary


@pytest.fixture
def recorded(golden):
    data = arrays(golden / "scene_designer" / "layout.npz")
    return data | {"owner": data["obj_to_img"].long(), "side": int(data["size"])}


@pytest.mark.golden
@pytest.mark.parametrize(("occlude", "name"), [(False, "soft_sum"), (True, "hard")])
def test_layouts(recorded, occlude, name):
    count, side, owner = len(recorded[name]), recorded["side"], recorded["owner"]
    planes = composed(recorded["masks"], recorded["boxes"], owner, count, side, side, occlude)
    painted = paint_vectors(recorded["vecs"], planes, owner, count).permute(0, 2, 3, 1)
    close(painted, recorded[name], 1e-5)
    if occlude:
        assert torch.equal(painted > 0, recorded[name] > 0)


@pytest.mark.golden
def test_sketched_scenes(recorded):
    count, side, owner, boxes = len(recorded["hard"]), recorded["side"], recorded["owner"], recorded["boxes"]
    sketches = recorded["sketches"][..., 0].float()
    drawn = compose_sketches(sketches, boxes, owner, count, side, side)
    close(drawn, recorded["sketch_composition"][..., 0], 2e-5)
    apart = compose_sketches(sketches, spread_boxes(boxes, owner, count), owner, count, side, side)
    close(apart, recorded["sketch_composition_no_overlap"][..., 0], 2e-5)


def recorded_batch(recorded) -> SceneBatch:
    owner = recorded["owner"]
    return SceneBatch(
        num_images=len(recorded["hard"]),
        objects=recorded["labels"],
        attributes=torch.zeros(len(owner), 0, dtype=torch.int64),
        triples=torch.zeros(0, 3, dtype=torch.int64),
        object_to_image=owner,
        triple_to_image=torch.zeros(0, dtype=torch.int64),
        boxes=recorded["boxes"],
        masks=recorded["masks"],
        known_masks=torch.ones_like(owner, dtype=torch.bool),
    )


def designed(categories: int, side: int, **settings) -> Spade:
    names = Vocabulary(tuple(str(number) for number in range(categories)), ("above",))
    tiny = SpadeConfig.tiny(names).model_dump() | {"image_size": (side, side), "composition": "scene-designer"}
    return Spade(SpadeConfig(**(tiny | settings))).eval()


@pytest.mark.golden
def test_spade_draws_from_the_published_label_and_instance_maps(recorded):
    side, owner, count = recorded["side"], recorded["owner"], len(recorded["hard"])
    model, batch = designed(6, side), recorded_batch(recorded)
    labels = model.condition(batch).condition.labels
    background = recorded["background"].argmax(dim=-1)[0]
    ids = recorded["category_ids"].long()
    numbers = torch.where(ids > 0, ids - 1, 255)  # the last one is the whole image
    published = torch.where(labels[0] < 6, numbers[labels[0].clamp(max=5)], numbers[background])
    assert torch.equal(published, recorded["gaugan_labels"].long())
    planes = composed(batch.masks, batch.boxes, owner, count, side, side, occlude=True)
    found, instances = label_maps(planes, batch.objects, 6, owner, count)
    assert torch.equal(torch.where(found < 0, 6, found), labels)
    assert torch.equal(instances, recorded["instances"].long())
    model.train()
    soft = recorded["soft_sum"]
    learned = model.condition(batch).condition.labels
    assert torch.equal(learned, torch.where(soft.sum(dim=-1) > 0.5, soft.argmax(dim=-1), 6))


def test_what_is_outside_a_box_is_nothing_and_its_last_row_is_never_reached():
    ones, box = torch.ones(1, 4, 4), torch.tensor([[0.25, 0.25, 0.5, 0.5]])
    plane = sampled(ones, box, 9, 9)[0]
    assert plane[2:5, 2:5].min() == 1 and plane[:2].max() == 0 and plane[6:].max() == 0
    corner = torch.zeros(1, 4, 4)
    corner[0, 3, 3] = 1
    whole = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    assert sampled(corner, whole, 9, 9).max() == 0


def test_the_smallest_shows_and_holes_take_the_background_before_them():
    vocabulary = Vocabulary(("sky", "grass", "sheep"), ("above",))
    scene = Scene(
        (
            SceneObject("sky", box=(0.0, 0.0, 1.0, 0.4)),
            SceneObject("sheep", box=(0.2, 0.5, 0.7, 0.9)),
            SceneObject("grass", box=(0.0, 0.7, 0.4, 1.0)),
        )
    )
    batch = SceneBatch.from_scenes([scene], vocabulary, 32)
    tiny = SpadeConfig.tiny(vocabulary).model_dump() | {"composition": "scene-designer"}
    filling = tiny | {"backgrounds": ("sky", "grass")}
    open_map = Spade(SpadeConfig(**tiny)).eval().condition(batch).condition.labels[0]
    assert open_map[0, 0] == 0 and open_map[16, 4] == 3 and open_map[25, 10] == 1  # grass, smaller, over the sheep
    filled = Spade(SpadeConfig(**filling)).eval().condition(batch).condition.labels[0]
    assert not (filled == 3).any() and filled[16, 4] == 0 and filled[30, 31] == 1
    with pytest.raises(ValueError, match=r"no such category \(did you mean 'grass'\?\)"):
        SpadeConfig(**(tiny | {"backgrounds": ("gras",)}))


def test_holes_before_the_first_background_stay():
    labels = torch.tensor([[[-1, 2, -1], [0, -1, 2]]])
    assert without_holes(labels, torch.tensor([0])).tolist() == [[[-1, 2, -1], [0, 0, 2]]]
