"""What a newcomer types, and how it is read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenograph.data.vocabularies import NAMES, shipped_vocabulary
from scenograph.errors import NOTE, UserError
from scenograph.models.registry import model_vocabulary, shipped_models
from scenograph.scenes.lexicon import spoken
from scenograph.scenes.scene import MAX_OBJECTS, Relation, Scene, SceneObject
from scenograph.scenes.text import (
    names_in_text,
    objects_in_words,
    relation_to_text,
    scene_from_text,
    scene_to_lines,
    scene_to_text,
)
from scenograph.scenes.vocabulary import Vocabulary

BOOK, RENDERED = model_vocabulary("mise-layout-picture-book"), model_vocabulary("mise-rendered-64")
DOCS = Path(__file__).parents[2] / "docs" / "scenes.md"


def read(text, vocabulary=None):
    """Objects and relations in one line, in the names of the vocabulary that knows most words."""
    known = vocabulary or max((RENDERED, BOOK), key=lambda names: names_in_text(text, names))
    things, *relations = scene_to_lines(scene_from_text(text, known))
    return ": ".join(filter(None, (things.partition(": ")[2], "; ".join(relations))))


SENTENCES = {
    "a red cube to the left of a blue sphere": "red cube, blue sphere: red cube left of blue sphere",
    "two red cubes to the left of a blue sphere": "2 red cubes, blue sphere: red cube 1 left of blue sphere; red cube 2 left of blue sphere",
    "A sheep standing on grass.": "sheep, grass: sheep standing on grass",
    "two sheep standing on grass; a tree behind one sheep; a boat in the ocean": "2 sheep, grass, tree, boat, sea: sheep 1 standing on grass; sheep 2 standing on grass; tree behind sheep 1; boat in sea",
    "three people riding horses on a beach under a blue sky": "3 people, 3 horses, sand, blue sky: person 1 riding horse 1; person 2 riding horse 2; person 3 riding horse 3; horse 1 on sand; horse 2 on sand; horse 3 on sand; sand under blue sky",
    "a red cube, two blue spheres and a small green cylinder to the left of the cube": "red cube, 2 blue spheres, small green cylinder: small green cylinder left of red cube",
    "a dog and a cat": "dog, cat",
    "a man riding a horse": "person, horse: person riding horse",
    "a man who is riding a horse": "person, horse: person riding horse",
    "a woman with an umbrella": "person, umbrella: person next to umbrella",
    "a cat on top of a car": "cat, car: cat on car",
    "a big red ball in front of a small blue box": "large red sphere, small blue cube: large red sphere in front of small blue cube",
    "the sky above the grass": "sky, grass: sky above grass",
    "sheep on grass": "sheep, grass: sheep on grass",
    "3 sheep": "3 sheep",
    "a dozen cows in a field": "12 cows, grass: cow 1 in grass; cow 2 in grass; cow 3 in grass; cow 4 in grass; cow 5 in grass; cow 6 in grass; cow 7 in grass; cow 8 in grass; cow 9 in grass; cow 10 in grass; cow 11 in grass; cow 12 in grass",
    "some trees": "3 trees",
    "several birds in the sky": "3 birds, sky: bird 1 in sky; bird 2 in sky; bird 3 in sky",
    "There is a dog next to a tree.": "dog, tree: dog next to tree",
    "there are two cats on the sofa": "2 cats, couch: cat 1 on couch; cat 2 on couch",
    "a sheep standing on grass near a tree": "sheep, grass, tree: sheep standing on grass; sheep next to tree",
    "a man wearing a hat": "person, clothes: person holding clothes",
    "a tree. A dog is under the tree. The dog is next to a bench.": "tree, dog, bench: dog under tree; dog next to bench",
    "a red cube. It is left of a sphere.": "red cube, sphere: red cube left of sphere",
    "an elephant and a giraffe standing next to each other": "elephant, giraffe: elephant next to giraffe",
    "a cup on a table in front of a window": "cup, table, window: cup on table; table in front of window",
    "a boy throwing a frisbee to a dog": "person, frisbee, dog: person holding frisbee; frisbee next to dog",
    "a shiny purple metal sphere behind a small rubber cube": "metal purple sphere, small rubber cube: metal purple sphere behind small rubber cube",
    "small metal red cube": "small metal red cube",
    "a picture of a cat sitting on a bench": "cat, bench: cat on bench",
    "two men playing baseball": "2 people, sports ball: person 1 holding sports ball; person 2 holding sports ball",
    "knives and forks on a table": "2 knives, 2 forks, table: knife 1 on table; knife 2 on table; fork 1 on table; fork 2 on table",
    "five red buses on the road": "5 red buses, road: red bus 1 on road; red bus 2 on road; red bus 3 on road; red bus 4 on road; red bus 5 on road",
    "a bus on the road, a car behind the bus, and a person between the bus and the car": "bus, road, car, person: bus on road; car behind bus; person next to bus; person next to car",
    "a kite in the sky above the sea": "kite, sky, sea: kite in sky; sky above sea",
    "a horse left of a zebra": "horse, zebra: horse left of zebra",
    "a child holding a teddy bear": "person, teddy bear: person holding teddy bear",
    "a cat lying on a bed": "cat, bed: cat on bed",
    "a laptop on the desk": "laptop, desk: laptop on desk",
    "two cubes and three spheres": "2 cubes, 3 spheres",
    "a cube that is red": "red cube",
    "the cube is red": "red cube",
    "a red cube is left of a blue cube": "red cube, blue cube: red cube left of blue cube",
    "one cube is left of another cube": "2 cubes: cube 1 left of cube 2",
    "Mountains behind a lake": "2 mountains, river: mountain 1 behind river; mountain 2 behind river",
    "a house surrounded by trees": "house, 2 trees: house next to tree 1; house next to tree 2",
    "a sphere inside a cylinder": "sphere, cylinder: sphere inside cylinder",
    "pizza on a plate": "pizza, bowl: pizza on bowl",
    "a person on skis": "person, skis: person on skis",
    "sky, clouds, mountain, tree, grass, sheep": "sky, clouds, mountain, tree, grass, sheep",
    "a man, a woman and a child on the beach": "3 people, sand: person 1 on sand; person 2 on sand; person 3 on sand",
    "Two people sitting on a bench under a tree": "2 people, bench, tree: person 1 on bench; person 2 on bench; bench under tree",
    "a bird flying in the sky": "bird, sky: bird flying in sky",
    "a plane flying over a building": "airplane, building: airplane above building",
    "a train on the tracks": "train, railroad: train on railroad",
    "an automobile parked on a street": "car, road: car parked on road",
    "a puppy next to a kitten": "dog, cat: dog next to cat",
    "sheep": "sheep",
    "twenty-one sheep": "21 sheep",
    "a couple of dogs on the lawn": "2 dogs, grass: dog 1 on grass; dog 2 on grass",
    "a pair of scissors on the table": "scissors, table: scissors on table",
    "people riding bicycles on a street": "2 people, 2 bicycles, road: person 1 riding bicycle 1; person 2 riding bicycle 2; bicycle 1 on road; bicycle 2 on road",
    "a sheep standing on grass and a dog next to the sheep": "sheep, grass, dog: sheep standing on grass; dog next to sheep",
    "two dogs and three cats on a sofa": "2 dogs, 3 cats, couch: dog 1 on couch; dog 2 on couch; cat 1 on couch; cat 2 on couch; cat 3 on couch",
    "a large, red cube": "large red cube",
    "a red and a blue cube": "red cube, blue cube",
    "two red and three blue cubes": "2 red cubes, 3 blue cubes",
    "a red cube which is to the left of a blue sphere and behind a cylinder": "red cube, blue sphere, cylinder: red cube left of blue sphere; red cube behind cylinder",
    "the second cube is behind a sphere": "cube, sphere: cube behind sphere",
    "sheep, grass and sky": "sheep, grass, sky",
    "a man and his dog": "person, dog",
    "a cow is standing in a field. There are trees behind it.": "cow, grass, 2 trees: cow standing on grass; tree 1 behind cow; tree 2 behind cow",
    "a dog and a cat; a tree behind them": "dog, cat, tree: tree behind dog; tree behind cat",
    "two cats. They are on a sofa.": "2 cats, couch: cat 1 on couch; cat 2 on couch",
    "a woman holding an umbrella standing on the beach": "person, umbrella, sand: person holding umbrella; person standing on sand",
    "a woman with an umbrella walking on a beach": "person, umbrella, sand: person next to umbrella; person standing on sand",
    "one of the cubes is red": "red cube",
    "three cubes. the cubes are behind a sphere": "3 cubes, sphere: cube 1 behind sphere; cube 2 behind sphere; cube 3 behind sphere",
    "a dog running": "dog",
    "a bird flying, a dog sleeping on a rug": "bird, dog, rug: dog on rug",
    "children playing on the grass": "2 people, grass: person 1 on grass; person 2 on grass",
    "a group of people standing around a table": "3 people, table: person 1 next to table; person 2 next to table; person 3 next to table",
    "lots of flowers": "5 flowers",
    "a slice of pizza": "pizza",
    "a cube next to a sphere": "cube, sphere: cube left of sphere",
    "a table with a cup and a plate": "table, cup, bowl: table next to cup; table next to bowl",
    "a laptop on a desk and a lamp": "laptop, desk, light: laptop on desk",
    "sky above grass, sheep on grass, sheep behind tree": "sky, grass, 2 sheep, tree: sky above grass; sheep 1 on grass; sheep 2 behind tree",
    "a boat floating on the lake with mountains behind it": "boat, river, 2 mountains: boat in river; mountain 1 behind boat; mountain 2 behind boat",
    "a man who rides a horse and holds a kite": "person, horse, kite: person riding horse; person holding kite",
    "a red car parked in front of a blue house with a green door": "red car, blue house, green door: red car in front of blue house; blue house next to green door",
    "orange cat on an orange sofa": "orange cat, orange couch: orange cat on orange couch",
    "an orange next to two oranges": "3 oranges: orange 1 next to orange 2; orange 1 next to orange 3",
    "the small sphere is larger than the big cube": "small sphere, large cube: small sphere larger than large cube",
    "a cat sitting down on a chair": "cat, chair: cat on chair",
    "a dog jumping over a fence": "dog, fence: dog above fence",
    "a train going down the tracks": "train, railroad: train on railroad",
    "cars and trucks": "2 cars, 2 trucks",
    "a car and truck on the road": "car, truck, road: car on road; truck on road",
    "traffic lights above the street": "2 traffic lights, road: traffic light 1 above road; traffic light 2 above road",
    "a cube, a cube and a cube": "3 cubes",
    "three cubes left of three spheres": "3 cubes, 3 spheres: cube 1 left of sphere 1; cube 1 left of sphere 2; cube 1 left of sphere 3; cube 2 left of sphere 1; cube 2 left of sphere 2; cube 2 left of sphere 3; cube 3 left of sphere 1; cube 3 left of sphere 2; cube 3 left of sphere 3",
    "a cube behind a cube behind a cube": "3 cubes: cube 1 behind cube 2; cube 2 behind cube 3",
    "the cube left of the sphere behind the cube": "cube, sphere: cube left of sphere; sphere behind cube",
    "two sheep; the other sheep is behind a tree": "2 sheep, tree: sheep 1 behind tree",
    "A Cat, On A Mat!": "cat, mat: cat on mat",
    "a horse ridden by a man": "horse, person: person riding horse",
    "tree: sheep": "tree, sheep",
    "a dog with a tail": "dog",
    "a giraffe eating leaves from a tree": "giraffe, leaves, tree: giraffe next to leaves; leaves next to tree",
    "two sheep; one sheep is near a car; the other sheep is behind a tree": "2 sheep, car, tree: sheep 1 next to car; sheep 2 behind tree",
    "a train pulled by two horses": "train, 2 horses: horse 1 next to train; horse 2 next to train",
    "a dog standing in front of a car": "dog, car: dog in front of car",
    "a man standing next to a horse and holding an umbrella": "person, horse, umbrella: person next to horse; person holding umbrella",
    "a dog jumping over a bench": "dog, bench: dog above bench",
    "the sheep is standing": "sheep",
    "a boy and a girl who are riding bicycles": "2 people, 2 bicycles: person 1 riding bicycle 1; person 2 riding bicycle 2",
    "a table with two cups on it": "table, 2 cups: cup 1 on table; cup 2 on table",
    "a woman in a red dress on a beach": "red person, sand: red person on sand",
    "a man wearing a red shirt": "red person",
    "woman in a red dress holding a green umbrella on a beach": "red person, green umbrella, sand: red person holding green umbrella; red person on sand",
    "a woman in red on a beach": "red person, sand: red person on sand",
    "a man in a black jacket and blue jeans next to a dog": "black person, dog: black person next to dog",
    "a man in a red shirt and a hat": "red person, clothes: red person in clothes",
    "two women in green dresses under a tree": "2 green people, tree: green person 1 under tree; green person 2 under tree",
    "a boy flying a kite in the sky": "person, kite, sky: person holding kite; kite in sky",
    "a man with a dog on a beach": "person, dog, sand: person next to dog; dog on sand",
    "a red dress on a bed": "red clothes, bed: red clothes on bed",
    "a person in white and a person in black": "white person, black person",
    "a dog wearing a red shirt": "dog, red clothes: dog holding red clothes",
    "a man next to a woman; she is holding a kite": "2 people, kite: person 1 next to person 2; person 2 holding kite",
    "a man next to a woman; he is holding a kite": "2 people, kite: person 1 next to person 2; person 1 holding kite",
    "a man and a woman on a bench. He is holding a book.": "2 people, bench, book: person 1 on bench; person 2 on bench; person 1 holding book",
    "a man who holds an umbrella who rides a horse": "person, umbrella, horse: person holding umbrella; person riding horse",
    "a dog on a bench that is holding a frisbee": "dog, bench, frisbee: dog on bench; dog holding frisbee",
    "a red red cube": "red cube",
    "a red cube; the blue cube left of the red cube": "red cube, blue cube: blue cube left of red cube",
    "a person skiing on snow": "person, snow: person on snow",
    "a man riding a wave": "person, sea: person on sea",
    "a man surfing on a surfboard": "person, surfboard: person riding surfboard",
    "an airplane flying in the sky above mountains": "airplane, sky, 2 mountains: airplane flying in sky; airplane above mountain 1; airplane above mountain 2",
    "a sheep on grass in front of a mountain": "sheep, grass, mountain: sheep on grass; sheep in front of mountain",
    "a bird on the head of a cow": "bird, cow: bird on cow",
    "a cat on the red roof of a house": "cat, house: cat on house",
    "a boat on the water": "boat, sea: boat on sea",
    "glasses on a table": "2 wine glasses, table: wine glass 1 on table; wine glass 2 on table",
    "a man wearing black glasses": "person, black clothes: person holding black clothes",
    "two glasses of wine and a cup of coffee": "2 wine glasses, cup",
    "wine on a table": "wine glass, table: wine glass on table",
    "a bunch of 5 bananas": "5 bananas",
    "a bowl of 4 oranges on a bench": "4 oranges, bench: orange 1 on bench; orange 2 on bench; orange 3 on bench; orange 4 on bench",
    "a bowl of apples and a bowl of soup": "3 apples, bowl",
    "a herd of ten cows": "10 cows",
    "a stack of books": "3 books",
    "twenty one birds": "21 birds",
    "a hundred sheep": "100 sheep",
    "one of the two cubes": "cube",
    "on the bench sits a cat": "cat, bench: cat on bench",
    "behind the house is a tree": "tree, house: tree behind house",
    "in the sky, two birds": "2 birds, sky: bird 1 in sky; bird 2 in sky",
    "on a beach a man rides a horse": "person, sand, horse: person on sand; person riding horse",
    "a dog; on the bench sits a cat next to the dog": "dog, cat, bench: cat on bench; cat next to dog",
    "a red car and a bus behind it": "red car, bus: bus behind red car",
    "a table with a cup and a plate on it": "table, cup, bowl: cup on table; bowl on table",
    "a table. a cup and a plate on it": "table, cup, bowl: cup on table; bowl on table",
    "a cat on a chair and a dog next to it": "cat, chair, dog: cat on chair; dog next to cat",
    "two people on a beach. They are holding kites.": "2 people, sand, 2 kites: person 1 on sand; person 2 on sand; person 1 holding kite 1; person 2 holding kite 2",
}


@pytest.mark.parametrize("text", SENTENCES)
def test_sentences(text):
    assert read(text) == SENTENCES[text]


REFUSED = {
    "a sheep to the right of a tree; another sheep to the left of it": "clause 2: 'it' may be the sheep or the tree; name it again",
    "a cube on the left": "clause 1: 'left' is a place in the picture; say where things are by each other, as in 'left of the tree', or give boxes in a scene file",
    "a red and blue cube": "clause 1: 'red' and 'blue' are both a color; keep one",
    "a dog without a leash": "clause 1: 'without' says what is not there; a scene says only what is: leave it out",
    "a happy dog": "clause 1: unknown word 'happy' before 'dog' (choose from: large, small, red, orange, yellow, green, blue, purple, ...)",
    "no dogs": "clause 1: 'no' says what is not there; a scene says only what is: leave it out",
    "cubee left of sphere": "clause 1: unknown word 'cubee' (did you mean 'cube'?)",
    "left of a cube": "clause 1: expected an object before 'left' (choose from: cube, sphere, cylinder)",
    "a cube left of": "clause 1: expected an object after 'of' (choose from: cube, sphere, cylinder)",
    "a unicorn on a beach": "clause 1: unknown word 'unicorn' (nearest in meaning: bear, bird, cat, cow, dog, elephant, ...)",
    "a tiger behind a tree": "clause 1: unknown word 'tiger' (nearest in meaning: bear, bird, cat, cow, dog, elephant, ...)",
    "a pink cube": "clause 1: unknown word 'pink' before 'cube' (nearest in meaning: gray, red, blue, green, brown, purple, ...)",
    "cube sphere": "clause 1: expected a relation at 'sphere' (put 'and', a comma or a semicolon between two things)",
    "shep on grass": "clause 1: unknown word 'shep' (did you mean 'sheep'?)",
    "300 cubes": "clause 1: more than 256 objects in one scene; tell it in several",
    "0 cubes": "clause 1: 0 of a thing is none; leave it out",
    "a 3 legged dog": "clause 1: unknown word 'legged' before 'dog' (choose from: large, small, red, orange, yellow, green, blue, purple, ...)",
    "It is a dog": "clause 1: 'it' has nothing that it can stand for; name it again",
    "a dog's bowl": "clause 1: unknown word \"dog's\" before 'bowl' (choose from: large, small, red, orange, yellow, green, blue, purple, ...)",
    "two sheep behind a tree and one in front of it": "clause 1: 'one' needs the name of what it counts, as in 'one sheep'",
    "two dogs; one is black": "clause 2: 'one' needs the name of what it counts, as in 'one sheep'",
    "on grass": "clause 1: expected an object before 'on' (choose from: airplane, apple, backpack, banana, banner, baseball bat, basket, bear, ...)",
    "a boy and a man on a bench. He is holding a book.": "clause 2: 'he' may be the boy or the man; name it again",
    "a black and white dog": "clause 1: 'black' and 'white' are both a color; keep one, or name two things, as in 'a black and a white cat'",
    "a tree and 2 dogs 3": "clause 1: a number before a name says how many, one after it which; say 'dog 3' or '2 dogs'",
    "dogs 3": "clause 1: a number before a name says how many, one after it which; say 'dog 3' or '3 dogs'",
    "two cats; the black cat on a chair": "clause 2: 'the black cat' is not named before, and the cat is; say 'another black cat', or 'the cat is black' first",
    "three hundred sheep": "clause 1: more than 256 objects in one scene; tell it in several",
    "a car, a tree and a bus behind it": "clause 1: 'it' may be the car or the tree; name it again",
    "a dog in a kitchen": "clause 1: 'kitchen' is a place, not an object: name what is in it, such as oven, sink, refrigerator",
    "a road at night": "clause 1: 'night' is a time, not an object: name what is seen then, such as sky",
    "a man at a birthday party": "clause 1: 'birthday party' is an event, not an object: name what is seen there, such as cake, person, table",
    "a storm": "clause 1: 'storm' is weather, not an object: name what is seen then",
    "a grass-blorb on a dog; a cat near a quux": "clause 1: unknown word 'grass-blorb' (`scenograph models info MODEL` lists the words of a model); unknown, too: 'quux'",
    "a happy dog on a frumious mat": "clause 1: unknown word 'happy' before 'dog' (choose from: large, small, red, orange, yellow, green, blue, purple, ...); unknown, too: 'frumious'",
    "a dog next to a cat and it": "clause 1: 'it' has nothing that it can stand for; name it again",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_understood_is_named(text):
    with pytest.raises(UserError) as caught:
        read(text)
    assert str(caught.value).startswith(f"text, {REFUSED[text]}")


EXAMPLES = re.findall(r"^\| .* \| `([^`]*)` \| `([^`]*)` \|$", DOCS.read_text(encoding="utf-8"), re.M)


@pytest.mark.parametrize(("text", "meaning"), EXAMPLES)
def test_the_examples_of_the_documentation(text, meaning):
    assert read(text) == meaning


def test_every_rule_of_the_documentation_has_an_example():
    table = DOCS.read_text(encoding="utf-8").partition("<!-- examples -->")[2].partition("<!-- end of examples -->")[0]
    assert len(EXAMPLES) == len(table.strip().splitlines()) - 2 > 20


def test_what_was_read_otherwise_is_said_once(caplog):
    caplog.set_level(NOTE)
    read("two men riding horses near the ocean; a man by the ocean")
    assert caplog.messages == [
        "man is taken as person, ocean is taken as sea, by is taken as next to, near is taken as next to"
    ]
    caplog.clear()
    read("a dog running")
    assert caplog.messages == ["leaving out running: nothing is named that it relates to"]


def test_words_are_objects_of_their_own_unless_they_mean_the_same():
    assert read("a man by a tree; a woman by a car").startswith("2 people, tree, car")
    assert read("a man by a tree; the person by a car").startswith("person, tree, car")
    assert read("a boat in the ocean; a boat in the sea").startswith("boat, sea:")


def test_names_of_a_vocabulary_come_first():
    names = Vocabulary(("man", "men", "light", "other", "one"), ("and", "is", "on"), {"color": ("light", "other")})
    assert (
        read("men", names) == "men" and read("two men and a man", names) == "2 men, man: men 1 and man; men 2 and man"
    )
    assert read("light light on other", names) == "light light, other: light light on other"
    assert read("other on one", names) == "other, one: other on one"


def test_a_model_without_attributes_says_so():
    with pytest.raises(UserError, match=r"unknown word 'red' before 'sheep' \(this model knows no attributes\)"):
        scene_from_text("a red sheep", Vocabulary(("sheep",), ("on",)))


def test_crowds_have_an_end(monkeypatch):
    assert len(scene_from_text(f"{MAX_OBJECTS} cubes", RENDERED).objects) == MAX_OBJECTS
    monkeypatch.setattr("scenograph.scenes.text.MAX_RELATIONS", 100)
    assert len(scene_from_text("10 cubes left of 10 spheres", RENDERED).relations) == 100
    with pytest.raises(UserError, match="clause 2: more than 100 relations in one scene"):
        scene_from_text("10 cubes left of 10 spheres; cylinder behind cube", RENDERED)


WORDS = [
    "a", "the", "two", "some", "several", "other", "another", "one", "it", "they", "each other", "first", "of", "and",
    ",", ";", ".", "is", "are", "who", "that", "there is", "with", "no", "not", "red", "orange", "large", "sheep",
    "grass", "sky", "cubes", "people", "man", "tree", "trees", "tail", "light", "on", "left of", "riding", "standing",
    "sitting down", "next to", "behind", "3", "1", "in", "between", "surrounded by", "ridden by", "to the left of the",
]  # fmt: skip


@given(st.lists(st.sampled_from(WORDS) | st.text(max_size=4), max_size=14), st.sampled_from([BOOK, RENDERED]))
def test_a_text_is_a_scene_or_an_error(words, names):
    try:
        scene = scene_from_text(" ".join(words), names)
    except UserError as error:
        assert str(error).startswith("text")
        return
    names.check([scene_from_text(scene_to_text(scene), names)])
    assert scene_from_text(scene_to_text(scene), names).to_dict() == scene.to_dict()
    assert Scene.from_dict(scene.to_dict()).to_dict() == scene.to_dict()


VISUAL_GENOME = Vocabulary(
    ("man", "people", "men", "person", "tree", "leaf", "tail", "wheel", "sky", "light", "glass", "bus", "orange"),
    ("and", "on", "has", "with", "in front of", "standing on", "standing", "of", "to", "by", "riding"),
)


@st.composite
def scenes(draw):
    names = draw(st.sampled_from([BOOK, shipped_vocabulary("coco-stuff"), VISUAL_GENOME, RENDERED]))
    groups = [st.none() | st.sampled_from(values) for values in names.attributes.values()]
    kinds = st.builds(
        lambda category, attributes: SceneObject(category, tuple(filter(None, attributes))),
        st.sampled_from(sorted(names.category_index)),
        st.tuples(*groups),
    )
    objects = draw(st.lists(kinds, min_size=1, max_size=5))
    pairs = [(i, j) for i in range(len(objects)) for j in range(len(objects)) if i != j]
    chosen = draw(st.lists(st.sampled_from(pairs), max_size=6)) if pairs else []
    predicates = [draw(st.sampled_from(names.predicates)) for _ in chosen]
    relations = (Relation(i, p, j) for (i, j), p in zip(chosen, predicates, strict=True))
    return Scene(tuple(objects), tuple(relations)), names


@pytest.mark.parametrize("name", [*NAMES, *shipped_models(), "visual-genome"])
def test_spoken_names_are_read_back(name):
    names = {"visual-genome": VISUAL_GENOME}.get(name) or (
        shipped_vocabulary(name) if name in NAMES else model_vocabulary(name)
    )
    words = spoken(names.category_index)
    assert len({*words.values()}) == len(words)
    for category, word in words.items():
        assert scene_from_text(word, names).to_dict()["objects"] == [category]


def test_names_are_told_as_people_say_them():
    things = tuple(map(SceneObject, ("sky-other", "wall-brick", "window-blind", "floor-other", "t-shirt", "sky-other")))
    scene = Scene(things, (Relation(0, "above", 1), Relation(5, "above", 2)))
    assert scene_to_lines(scene)[0] == "6 objects: 2 skies, brick wall, window-blind, floor-other, t-shirt"
    assert objects_in_words(Scene((*things[:2], SceneObject("sky-other", ("blue",))))) == "2 skies, brick wall"
    assert scene_to_text(Scene(things[:2], scene.relations[:1])) == "sky above brick wall"
    assert relation_to_text(scene, 1) == "[1] sky (5) above window-blind (2)"
    both = Scene((SceneObject("sky-other"), SceneObject("sky")))
    assert scene_to_text(both) == "sky-other; sky"


@given(scenes())
def test_a_scene_told_in_words_is_read_back(made):
    scene, names = made
    assert scene_from_text(scene_to_text(scene), names).to_dict() == scene.to_dict()
