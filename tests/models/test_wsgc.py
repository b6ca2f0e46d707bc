"""Canonical scene graphs: their algebra, the layout network, and what it learns."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers import generators
from scenograph import Pipeline
from scenograph.data.clevr import VOCABULARY
from scenograph.errors import UserError
from scenograph.evaluation.robustness import equivalent
from scenograph.models.attspade import AttSpade, AttSpadeConfig
from scenograph.models.published.attspade import import_attspade
from scenograph.models.published.wsgc import import_wsgc, published_vocabulary
from scenograph.models.wsgc import CanonicalGraph, Wsgc, WsgcConfig
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.canonical import implied
from scenograph.scenes.scene import Relation, Scene, SceneObject
from scenograph.scenes.text import scene_from_text
from scenograph.scenes.vocabulary import Vocabulary
from scenograph.training.objectives.wsgc import WsgcObjective, WsgcObjectiveConfig


def small(vocabulary=VOCABULARY, **options) -> Wsgc:
    torch.manual_seed(0)
    sizes = {"embedding_dim": 8, "gconv_dim": 16, "gconv_hidden_dim": 16, "gconv_num_layers": 2}
    return Wsgc(WsgcConfig(vocabulary=Wsgc.vocabulary_for(vocabulary).to_dict(), **{**sizes, **options}))


# The network, against the recorded one.


def padded_batch(inputs, predicates_padding):
    """The recorded, padded batch as ours; objects that pad are kept, alone."""
    objects, triples = inputs["objs"], inputs["triplets"].clone()
    count, width, _ = objects.shape
    real = triples[..., 1] != predicates_padding
    starts = torch.arange(count)[:, None] * width
    triples[..., 0] += starts
    triples[..., 2] += starts
    owner = torch.arange(count)[:, None].expand(count, triples.shape[1])
    batch = SceneBatch(
        num_images=count,
        objects=objects[..., 0].reshape(-1),
        attributes=objects[..., 1:].reshape(count * width, -1) - 1,
        triples=triples[real],
        object_to_image=torch.arange(count).repeat_interleave(width),
        triple_to_image=owner[real],
        boxes=torch.full((count * width, 4), float("nan")),
        masks=torch.ones(count * width, 16, 16),
        known_masks=torch.zeros(count * width, dtype=torch.bool),
    )
    return batch, CanonicalGraph(triples[real], inputs["triplet_type"][real] == 1, inputs["conv_counts"])


@pytest.mark.golden
@pytest.mark.parametrize("name", ["layout_coco", "layout_coco_masks", "layout_clevr"])
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_recorded_layouts(golden, name, mode):
    folder = golden / "wsgc" / name
    inputs, expected = (
        {key: torch.from_numpy(value) for key, value in np.load(folder / f"{kind}.npz").items()}
        for kind in ("inputs", "outputs")
    )
    model = import_wsgc(folder / "checkpoint.pt").train(mode == "train")
    names = json.loads((folder / "vocab.json").read_text())
    batch, graph = padded_batch(inputs, names["pred_name_to_idx"]["__padding__"])
    noise = inputs.get("mask_noise", torch.zeros(1, 0)).expand(batch.num_images, -1)
    with torch.no_grad():
        vectors = model.object_vectors(batch, graph)
        boxes, masks = model.layout(batch, graph, noise)
    sides = torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1)
    close = {"atol": 1e-5, "rtol": 1e-4}
    torch.testing.assert_close(vectors, expected[f"{mode}_obj_vecs"].flatten(0, 1), **close)
    torch.testing.assert_close(sides, expected[f"{mode}_boxes_pred"].flatten(0, 1), **close)
    if masks is not None:
        torch.testing.assert_close(masks, expected[f"{mode}_masks_pred"].flatten(0, 1), atol=2e-4, rtol=1e-3)


@pytest.mark.golden
def test_recorded_chances_of_converses(golden):
    data = np.load(golden / "wsgc" / "canonicalization" / "converse_probabilities.npz")
    real = set(data["non_meta"].tolist())
    names = tuple(f"said {n}" if n in real else f"__meta {n}__" for n in range(len(data["raw_weights"])))
    model = small(Vocabulary(("cube",), names))
    count = len(names)
    with torch.no_grad():
        model.converse[:count, :count] = torch.from_numpy(data["raw_weights"])
    symmetric = torch.triu(model.converse[:count, :count]) + torch.triu(model.converse[:count, :count]).T
    np.testing.assert_allclose(symmetric.detach(), data["symmetric_weights"], atol=1e-6)
    # The six location predicates that every vocabulary gets are not in the record: leave them out.
    model.real[count:] = False
    with torch.no_grad():
        model.converse.zero_()
        half = torch.triu(torch.from_numpy(data["scaled_symmetric_weights"]), 1)
        model.converse[:count, :count] = half
        found = model.converse_log_probabilities()[:count]
    wanted = torch.from_numpy(data["log_probabilities"])
    rows = torch.from_numpy(data["non_meta"])
    for row in rows.tolist():
        others = [column for column in rows.tolist() if column != row]
        torch.testing.assert_close(found[row, others], wanted[row, others], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(found[row, -1], wanted[row, -1], atol=1e-5, rtol=1e-4)
    outcomes = torch.zeros(len(data["counts"]), len(model.real), len(model.real) + 1)
    outcomes[:, :count, :count] = torch.from_numpy(data["counts"][:, :, :count])
    outcomes[:, :count, -1] = torch.from_numpy(data["counts"][:, :, count])
    graph = CanonicalGraph(torch.zeros(0, 3), torch.zeros(0), outcomes)
    np.testing.assert_allclose(model.log_probability(graph).detach(), data["log_p_per_image"], atol=1e-5, rtol=1e-4)


@pytest.mark.golden
def test_recorded_completions(golden):
    """What transitivity adds; with converses, to the edges that were drawn then."""
    data = json.loads((golden / "wsgc" / "canonicalization" / "augment_examples.json").read_text())
    names = tuple(
        name if name in ("__padding__", "__in_image__") else name.strip("_")
        for name in data["vocab"]["pred_idx_to_name"]
    )
    model = small(Vocabulary(("thing",), names), learned_converse=False)
    for example in data["examples"]:
        for kind in ("transitivity", "both"):
            rows, kinds = np.array(example[kind]["triplets"]), np.array(example[kind]["triplet_type"])
            size = len(example["objs"])
            batch = triples_batch(torch.from_numpy(rows[kinds == 0]), size)
            graph = model.canonicalize(batch)
            assert torch.equal(graph.triples[~graph.implied], batch.triples)
            found = {tuple(row) for row in graph.triples[graph.implied].tolist()}
            assert found == {tuple(row) for row in rows[kinds == 1].tolist()}


def triples_batch(triples, size):
    return SceneBatch(
        num_images=1, objects=torch.zeros(size, dtype=torch.long), attributes=torch.zeros((size, 0), dtype=torch.long),
        triples=triples, object_to_image=torch.zeros(size, dtype=torch.long),
        triple_to_image=torch.zeros(len(triples), dtype=torch.long), boxes=torch.full((size, 4), float("nan")),
        masks=torch.ones(size, 8, 8), known_masks=torch.zeros(size, dtype=torch.bool),
    )  # fmt: skip


# The network by itself.


def chain(count):
    things = tuple(SceneObject("cube") for _ in range(count))
    return Scene(things, tuple(Relation(i, "left of", i + 1) for i in range(count - 1)))


def test_converses_are_drawn_as_often_as_they_are_believed():
    model = small()
    left, right = (model.vocabulary.predicates.index(name) for name in ("left of", "right of"))
    with torch.no_grad():
        model.converse.fill_(-20)
        model.converse[min(left, right), max(left, right)] = math.log(3)  # three times as likely as none
    batch = SceneBatch.from_scenes([chain(9)] * 50, model.vocabulary)
    graph = model.canonicalize(batch, [torch.Generator().manual_seed(i) for i in range(50)])
    share = float(graph.outcomes[:, left, right].sum() / graph.outcomes[:, left].sum())
    assert share == pytest.approx(0.75, abs=0.07)
    given = {tuple(row) for row in batch.triples.tolist()}
    brought = [row for row in graph.triples[~graph.implied].tolist() if tuple(row) not in given]
    assert brought and all((o, left, s) in given for s, p, o in brought)


def test_all_that_a_chain_implies_is_found_at_once():
    model = small(learned_converse=False)
    scenes = [chain(5), chain(2), Scene((SceneObject("cube"),)), chain(40)]
    graph = model.canonicalize(SceneBatch.from_scenes(scenes, model.vocabulary))
    assert int(graph.implied.sum()) == math.comb(5, 2) - 4 + math.comb(40, 2) - 39
    nothing = model.canonicalize(SceneBatch.from_scenes([scenes[2]], model.vocabulary))
    assert len(nothing.triples) == 0


def test_an_unbelieved_implication_changes_nothing():
    asked = SceneBatch.from_scenes([chain(4)], small().vocabulary)
    full, plain = small(learned_converse=False), small(learned_converse=False, learned_transitivity=False)
    plain.load_state_dict(full.state_dict())
    assert not torch.allclose(full(asked).boxes, plain(asked).boxes)
    with torch.no_grad():
        full.transitive.fill_(-100)
    torch.testing.assert_close(full(asked).boxes, plain(asked).boxes)


def in_random_places(count, rng):
    """A scene whose relations, the fewest that say all, order its objects along two axes."""
    axes = [("left of", "right of"), ("above", "below")]
    relations = []
    for forwards, backwards in axes:
        order = rng.permutation(count)
        for a, b in zip(order[:-1].tolist(), order[1:].tolist(), strict=True):
            relations.append(Relation(a, forwards, b) if rng.random() < 0.5 else Relation(b, backwards, a))
    return Scene(tuple(SceneObject("cube") for _ in range(count)), tuple(relations))


def test_exact_graphs_are_read_the_same_in_other_words():
    model, rng = small(exact=True, mask_size=8).eval(), np.random.default_rng(0)
    scenes = [in_random_places(count, rng) for count in (1, 2, 5, 12)]
    retold = [equivalent(scene, model.vocabulary, rng) for scene in scenes]
    assert all(scene.relations != other.relations for scene, other in zip(scenes[1:], retold[1:], strict=True))
    batches = [SceneBatch.from_scenes(form, model.vocabulary) for form in (scenes, retold)]
    graphs = [model.canonicalize(batch) for batch in batches]
    assert torch.equal(graphs[0].triples, graphs[1].triples) and torch.equal(graphs[0].implied, graphs[1].implied)
    # on both axes chains of n - 1 relations are given, the rest follows
    assert int((~graphs[0].implied).sum()) == sum(2 * (n - 1) for n in (1, 2, 5, 12))
    assert int(graphs[0].implied.sum()) == sum(2 * (math.comb(n, 2) - (n - 1)) for n in (1, 2, 5, 12))
    outputs = [model(batch, [torch.Generator().manual_seed(i) for i in range(4)]) for batch in batches]
    assert torch.equal(outputs[0].boxes, outputs[1].boxes) and torch.equal(outputs[0].masks, outputs[1].masks)
    assert not model.samples_converses and "converses" not in WsgcObjective(WsgcObjectiveConfig(), model).phases


def test_exact_graphs_leave_out_what_is_outvoted():
    model, rng = small(exact=True).eval(), np.random.default_rng(0)
    scene = in_random_places(6, rng)
    told = replace(scene, relations=(*scene.relations, *implied(scene.relations)))
    against = implied(scene.relations)[0]
    against = Relation(against.object, against.predicate, against.subject)
    wrong = replace(told, relations=(*told.relations, against))
    graphs = [model.canonicalize(SceneBatch.from_scenes([form], model.vocabulary)) for form in (scene, wrong)]
    assert torch.equal(graphs[0].triples, graphs[1].triples) and torch.equal(graphs[0].implied, graphs[1].implied)


def test_exact_graphs_keep_contradictions_and_what_has_no_known_converse():
    names = Vocabulary(("cube",), ("left of", "right of", "holding"))
    model = small(names, exact=True, initial_weights="low")
    left, _, holding = (model.vocabulary.predicates.index(name) for name in names.predicates)
    circle = [Relation(0, "left of", 1), Relation(2, "right of", 1), Relation(2, "left of", 0)]
    held = [Relation(0, "holding", 1), Relation(1, "holding", 2), Relation(0, "holding", 2)]
    scene = Scene(tuple(SceneObject("cube") for _ in range(3)), tuple(circle + held))
    with torch.no_grad():
        model.converse.fill_(-20)  # so that nothing is drawn
    graph = model.canonicalize(SceneBatch.from_scenes([scene], model.vocabulary))
    stated = {tuple(row) for row in graph.triples[~graph.implied].tolist()}
    assert stated == {(0, left, 1), (1, left, 2), (2, left, 0), (0, holding, 1), (1, holding, 2), (0, holding, 2)}
    assert model.samples_converses and graph.outcomes.sum() == graph.outcomes[0, holding].sum() == 3


def one_by_one(count, predicates, rng):
    """A scene with one relation at most between two objects, and no chain of two of the same predicate."""
    relations = [Relation(a, str(rng.choice(predicates)), b) for a in range(0, count, 2) for b in range(1, count, 2)]
    return Scene(tuple(SceneObject("cube") for _ in range(count)), tuple(relations))


def test_per_pair_changes_nothing_where_two_objects_have_one_relation():
    triples, pairs = small(exact=True).eval(), small(exact=True, per_pair=True).eval()
    pairs.load_state_dict(triples.state_dict())
    scene = one_by_one(6, ["left of", "right of", "above"], np.random.default_rng(0))
    batch = SceneBatch.from_scenes([scene, chain(1)], triples.vocabulary)
    implied_too = torch.arange(len(batch.triples)) % 2 == 1
    graph = CanonicalGraph(batch.triples, implied_too, torch.zeros(0))
    torch.testing.assert_close(pairs.object_vectors(batch, graph), triples.object_vectors(batch, graph))


def test_per_pair_says_all_that_relates_two_objects_once():
    names = Vocabulary(("cube",), ("left of", "right of", "above", "below", "holding"))
    model = small(names, exact=True, per_pair=True)
    number = model.vocabulary.predicates.index
    left, right, above, below, holding = (number(name) for name in names.predicates)
    triples = [(0, left, 1), (1, below, 0), (2, above, 1), (1, left, 2), (3, holding, 0), (0, left, 3), (0, left, 1)]
    triples += [(2, right, 1), (1, holding, 3), (3, holding, 1)]
    beliefs = torch.tensor([1.0, 0.5, 1.0, 1.0, 1.0, 1.0, 0.25, 1.0, 0.5, 0.0])
    edges, vectors, strongest = model._per_pair(torch.tensor(triples), beliefs, objects=4)
    said = {(0, 1): {left: 1, above: 0.5}, (1, 2): {left: 1, below: 1}, (3, 0): {holding: 1, right: 1},
            (1, 3): {holding: 1}, (3, 1): {holding: 0}}  # fmt: skip
    assert sorted(map(tuple, edges.tolist())) == sorted(said)
    for ends, vector, belief in zip(map(tuple, edges.tolist()), vectors, strongest, strict=True):
        assert belief == {(1, 3): 0.5, (3, 1): 0}.get(ends, 1)
        parts = [model.predicate_embedding.weight[p] * part for p, part in said[ends].items()]
        torch.testing.assert_close(vector, sum(parts))


def test_per_pair_reads_exact_graphs_the_same_in_any_words_and_order():
    model, rng = small(exact=True, per_pair=True).eval(), np.random.default_rng(0)
    scene = in_random_places(7, rng)
    retold = equivalent(scene, model.vocabulary, rng)
    order = rng.permutation(7).tolist()
    place = {old: new for new, old in enumerate(order)}
    moved = tuple(Relation(place[r.subject], r.predicate, place[r.object]) for r in scene.relations)
    told = [SceneBatch.from_scenes([s], model.vocabulary) for s in (scene, retold, replace(scene, relations=moved))]
    graph = model.canonicalize(told[0])
    assert len(graph.triples) == 2 * math.comb(7, 2)
    assert len(model._per_pair(graph.triples, torch.ones(len(graph.triples)), 7)[0]) == math.comb(7, 2)
    boxes = [model(batch).boxes for batch in told]
    assert torch.equal(boxes[0], boxes[1])
    torch.testing.assert_close(boxes[2], boxes[0][order])
    assert (boxes[0] - boxes[0][:1]).abs().amax() > 1e-4  # the objects are alike but for their relations
    triples = small(exact=True).eval()
    triples.load_state_dict(model.state_dict())
    assert not torch.allclose(triples(told[0]).boxes, boxes[0])


@pytest.mark.parametrize("exact", [True, False])
def test_per_pair_beliefs_are_learnt_and_scenes_do_not_mix(exact):
    model = small(exact=exact, per_pair=True)
    scenes = [chain(4), chain(5)]
    together = SceneBatch.from_scenes(scenes, model.vocabulary)
    boxes = model(together, [torch.Generator().manual_seed(seed) for seed in (0, 1)]).boxes
    boxes.square().sum().backward()
    assert model.transitive.grad is not None and model.transitive.grad.abs().amax() > 0
    alone = [
        model(SceneBatch.from_scenes([scene], model.vocabulary), [torch.Generator().manual_seed(seed)]).boxes
        for seed, scene in enumerate(scenes)
    ]
    torch.testing.assert_close(boxes, torch.cat(alone))
    assert model(SceneBatch.from_scenes([Scene((SceneObject("cube"),))], model.vocabulary)).boxes.isfinite().all()


def test_given_boxes_stay():
    scene = scene_from_text("cube left of sphere", VOCABULARY)
    scene = replace(scene, objects=(replace(scene.objects[0], box=(0.1, 0.2, 0.3, 0.4)), scene.objects[1]))
    model = small(mask_size=8).eval()
    output = model(SceneBatch.from_scenes([scene], model.vocabulary), [torch.Generator().manual_seed(0)])
    assert output.boxes[0].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert output.masks.shape == (2, 8, 8) and output.boxes.min() >= 0 and output.boxes.max() <= 1


def test_converses_that_help_become_likelier():
    model = small()
    objective = WsgcObjective(WsgcObjectiveConfig(), model)
    left, right = (model.vocabulary.predicates.index(name) for name in ("left of", "right of"))
    outcomes = torch.zeros(2, len(model.real), len(model.real) + 1)
    outcomes[0, left, right] = outcomes[1, left, -1] = 3  # the first picture drew converses and was right
    memory = {"errors": torch.tensor([0.1, 0.9]), "graph": CanonicalGraph(torch.zeros(0, 3), torch.zeros(0), outcomes)}
    before = model.converse_log_probabilities()[left, right].item()
    loss, _ = objective.loss("converses", None, type("T", (), {"pictures": 2}), [], memory)
    loss.backward()
    with torch.no_grad():
        model.converse -= 0.1 * model.converse.grad
    assert model.converse_log_probabilities()[left, right].item() > before


def test_imports_of_something_else_are_refused(tmp_path):
    path = tmp_path / "itr_0.pt"
    torch.save({"model_state": {"a.weight": torch.zeros(2)}}, path)
    with pytest.raises(UserError, match="not a checkpoint of Canonical Sg2Im"):
        import_wsgc(path)


@pytest.mark.parametrize("shape", [(3,), (3, 4)])
def test_weights_of_another_form_are_refused(tmp_path, shape):
    weights = {"sg_to_layout.module.pred_embeddings.weight": torch.zeros(shape)}
    torch.save({"model_state": weights}, tmp_path / "c.pt")
    with pytest.raises(UserError, match=r"c.pt: not of the form that its system saves .\w+Error: "):
        import_wsgc(tmp_path / "c.pt")


@pytest.mark.parametrize(
    ("published", "ours"),
    [
        (["__in_image__", "right", "behind", "front", "left", "__padding__"],
         ("__in_image__", "right of", "behind", "in front of", "left of", "__padding__")),
        (["__padding__", "__in_image__", "__below__", "__left of__"], ("__padding__", "__in_image__", "below", "left of")),
        (["left", "right", "front", "behind", "__left of__"], ("left", "right", "front", "behind", "left of")),
    ],
)  # fmt: skip
def test_published_predicates_get_the_names_that_scenes_use(tmp_path, published, ours):
    vocab = {"attributes": {"shape": {"__image__": 0, "cube": 1}}, "pred_idx_to_name": published}
    assert published_vocabulary(vocab, torch.zeros(2, 4), tmp_path).predicates == ours


@pytest.mark.golden
def test_imports_with_a_broken_companion_are_refused(golden, tmp_path):
    (tmp_path / "c.pt").write_bytes((golden / "wsgc" / "layout_coco" / "checkpoint.pt").read_bytes())
    assert import_wsgc(tmp_path / "c.pt").config.learned_converse
    for name in ("learned_converse", "learned_antisymmetry"):
        (tmp_path / "run_args.json").write_text(json.dumps({"learned_transitivity": 1, name: 0}))
        assert not import_wsgc(tmp_path / "c.pt").config.learned_converse
    (tmp_path / "run_args.json").write_text("{}")
    with pytest.raises(UserError, match=r"run_args.json: cannot be read"):
        import_wsgc(tmp_path / "c.pt")


# AttSPADE: the picture half.


def test_layout_and_image_halves_compose():
    names = AttSpade.vocabulary_for(VOCABULARY)
    image = AttSpade(AttSpadeConfig(vocabulary=names.to_dict(), image_size=32, channels=2, embedding_dim=4))
    pipe = Pipeline(image, small(mask_size=8))
    result = pipe("red cube left of blue sphere", seeds=[0, 1])
    assert [picture.size for picture in result.images] == [(32, 32)] * 2
    assert all(thing.box for thing in result.scenes[0].objects)


@pytest.mark.golden
def test_plain_scenes_get_the_recorded_boxes_of_a_model_with_image_objects(golden):
    """The record holds the image object and its relations; scenes do not."""
    folder = golden / "wsgc" / "layout_coco_masks"
    inputs, expected = (
        {key: torch.from_numpy(value) for key, value in np.load(folder / f"{kind}.npz").items()}
        for kind in ("inputs", "outputs")
    )
    assert json.loads((folder / "run_args.json").read_text())["include_dummies"]
    model = import_wsgc(folder / "checkpoint.pt")
    assert model.config.image_object
    model.samples_converses = False  # those of the record were sampled
    names = model.vocabulary
    for number, (categories, triples) in enumerate(zip(inputs["objs"][..., 0], inputs["triplets"], strict=True)):
        real = categories != 0
        assert real.tolist() == sorted(real.tolist(), reverse=True)
        things = tuple(SceneObject(names.categories[index]) for index in categories[real].tolist())
        given = triples[inputs["triplet_type"][number] == 0].tolist()
        relations = tuple(Relation(s, names.predicates[p], o) for s, p, o in given if model.real[p])
        batch = SceneBatch.from_scenes([Scene(things, relations)], names, 16)
        placed = model.place(batch, generators(0)).boxes
        x, y, width, height = expected["eval_boxes_pred"][number][real].unbind(dim=1)
        wanted = torch.stack([x, y, x + width, y + height], dim=1).clamp(0, 1)
        torch.testing.assert_close(placed, wanted, atol=1e-5, rtol=1e-4)


def test_image_objects_need_their_names_and_leave_the_scene_as_it_is():
    last = Vocabulary((*VOCABULARY.categories, "__image__"), ("__in_image__", *VOCABULARY.predicates))
    with pytest.raises(ValueError, match="image_object: __image__ is not the first category"):
        small(last, image_object=True)
    model = small(image_object=True, mask_size=8).eval()
    assert model.vocabulary.categories == ("__image__", *VOCABULARY.categories)
    batch = SceneBatch.from_scenes([chain(3), chain(2)], model.vocabulary, 8)
    placed = model.place(batch, generators(0, 1))
    assert placed.boxes.shape == (5, 4) and placed.masks.shape == (5, 8, 8)
    whole = model.with_image(batch)
    assert whole.triples[-5:].tolist() == [[0, 0, 5], [1, 0, 5], [2, 0, 5], [3, 0, 6], [4, 0, 6]]
    alone = model.place(SceneBatch.from_scenes([chain(2)], model.vocabulary, 8), generators(1))
    torch.testing.assert_close(alone.boxes, placed.boxes[3:])


def test_names_are_not_taken_for_checkpoints_that_hold_their_own(tmp_path):
    for read in (import_wsgc, import_attspade):
        with pytest.raises(UserError, match="hold their vocabulary; leave --vocabulary out"):
            read(tmp_path / "c.pt", VOCABULARY)
    with pytest.raises(UserError, match="holds no 'vocab' beside its weights"):
        published_vocabulary(None, torch.zeros(2, 4), tmp_path / "c.pt")
    with pytest.raises(UserError, match=r"KeyError: 'attributes'.: expected 'attributes' and .*, found names"):
        published_vocabulary({"names": []}, torch.zeros(2, 4), tmp_path / "c.pt")
