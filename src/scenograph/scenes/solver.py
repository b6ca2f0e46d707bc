"""The solver of layouts: boxes move as little as needed so that every relation of the scene holds.

Along each axis the relations are linear in the edges of boxes, so the least movement is a linear program: edges move
as little as possible in sum, and sizes change only where moving does not help. Overlap, which is not linear, is
resolved by moving the boxes of each pair that overlaps too much apart along one axis, the shortest way first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import OptimizeResult, linprog
from scipy.sparse import coo_array

from scenograph.errors import UserError
from scenograph.scenes.canonical import complete, minimal
from scenograph.scenes.fields import BOX_DECIMALS
from scenograph.scenes.geometry import CONTACTS, box_area, is_region, measures, relation_holds
from scenograph.scenes.scene import Relation, Scene
from scenograph.scenes.text import relation_to_text

MARGIN = 0.02
"""Margin by which a relation should hold, in fractions of the canvas."""
TIGHT = MARGIN / 20
"""Margin by which it must hold where :data:`MARGIN` leaves no room."""
SMALLEST = 0.02
"""Smallest side of a box, in fractions of the canvas; sides that were smaller may stay so."""
RESIZING = 3.0
"""Cost of changing a size, relative to moving an edge as far."""
ROOTED = 10.0
"""Cost of changing the box of a region, relative to that of a thing: things are moved to where they stand."""
STUCK = 1000.0
"""Cost of violating a separation constraint, relative to moving an edge as far: more than any movement is worth."""
COVERED = 0.5
"""Largest fraction of a box that one other box may cover."""
ROUNDS = 20
"""Separation passes at most; pairs that still overlap after them stay as they are."""

Row = list[tuple[int, float]]
"""Coefficients of edges in one inequality: object i's lower edge is 2 i, its upper one 2 i + 1."""


@dataclass(frozen=True)
class _Constraint:
    """``sum(coefficient * edge) <= bound`` along one axis.

    ``source`` is the number of the relation that it follows from, or -1 for the separation of two boxes. The latter
    may be violated, at the cost of :data:`STUCK`.
    """

    axis: int
    row: Row
    bound: float
    source: int


def refine(scene: Scene, movable: Sequence[bool] | None = None, where: str = "") -> Scene:
    """Move boxes as little as needed so that all relations hold, on the canvas and with little overlap.

    Predicates that geometry cannot decide are ignored. Boxes that overlap too much are separated as far as the
    relations permit.

    Args:
        scene: Every object has a box, in fractions of the canvas.
        movable: For each object, whether its box may move; by default all may.
        where: Names the scene at the beginning of error messages.

    Returns:
        The scene with the new boxes.

    Raises:
        UserError: An object has no box, or the relations contradict each other or the fixed boxes. The message names a
            minimal set of such relations.
    """
    if not scene.objects:
        return scene
    boxless = next((number for number, thing in enumerate(scene.objects) if thing.box is None), None)
    if boxless is not None:
        raise UserError(
            f"{where}objects[{boxless}]: every object needs a box before boxes can be refined; "
            "scenograph layout places those that have none"
        )
    free = [True] * len(scene.objects) if movable is None else list(movable)
    boxes = np.array([thing.box for thing in scene.objects], dtype=np.float64)
    regions, implied = is_region(boxes), _implied_relations(scene)
    constraints = _constraints(scene, MARGIN, regions, implied)
    solved = _solve(boxes, constraints, free)
    if solved is None:  # perhaps too many objects lie side by side for the margin
        constraints = _constraints(scene, TIGHT, regions, implied)
        solved = _solve(boxes, constraints, free)
    if solved is None:
        raise UserError(where + _complaint(scene, _contradiction(scene, boxes, regions, free), free))
    solved = _separate_overlaps(scene, boxes, solved, constraints, free).round(BOX_DECIMALS)
    objects = []
    for thing, box, moves in zip(scene.objects, solved.tolist(), free, strict=True):
        x0, y0, x1, y1 = box
        objects.append(replace(thing, box=(x0, y0, x1, y1)) if moves else thing)
    return replace(scene, objects=tuple(objects))


def relations_shown(scene: Scene) -> tuple[int, int]:
    """Count the spatial relations that boxes show.

    Args:
        scene: Every object has a box.

    Returns:
        How many of its spatial relations hold, and how many there are.
    """
    boxes = [np.array(thing.box) for thing in scene.objects]
    answers = [relation_holds(r.predicate, boxes[r.subject], boxes[r.object]) for r in scene.relations]
    return sum(map(bool, answers)), sum(answer is not None for answer in answers)


def check_relations(scene: Scene, where: str = "") -> None:
    """Check that boxes exist that show all relations.

    Args:
        scene: Objects with a box keep it; all others may lie anywhere.
        where: Names the scene at the beginning of error messages.

    Raises:
        UserError: There are none. The message names a minimal set of relations that contradict each other.
    """
    if needed := contradiction(scene):
        raise UserError(where + _complaint(scene, needed, [thing.box is None for thing in scene.objects]))


def contradiction(scene: Scene) -> list[int]:
    """The numbers of a minimal set of relations that contradict each other; none if boxes exist that show all.

    Objects with a box keep it; all others may lie anywhere. Without any one of the set, the others of it can hold.
    """
    free = [thing.box is None for thing in scene.objects]
    boxes = np.array([thing.box or (0.5, 0.5, 0.5, 0.5) for thing in scene.objects], dtype=np.float64).reshape(-1, 4)
    regions = is_region(boxes) | np.array(free, dtype=bool)  # what has no box may become one
    if _solve(boxes, _constraints(scene, TIGHT, regions, _implied_relations(scene)), free) is not None:
        return []
    return _contradiction(scene, boxes, regions, free)


def _implied_relations(scene: Scene) -> set[Relation]:
    """Relations that follow from the others, margin included: up to ten times as many, which need no constraints."""
    return set(scene.relations) - set(minimal(scene.relations))


def _constraints(
    scene: Scene, margin: float, regions: np.ndarray, skipped: Collection[Relation] = ()
) -> list[_Constraint]:
    """The constraints of all relations but the skipped ones; ``regions`` (n,) says which boxes are those of regions."""
    numbered = [(number, relation) for number, relation in enumerate(scene.relations) if relation not in skipped]
    return [part for number, relation in numbered for part in _of_relation(relation, number, margin, regions)]


def _of_relation(relation: Relation, number: int, margin: float, regions: np.ndarray) -> list[_Constraint]:
    """The constraints of relation ``number``; none if geometry cannot decide it."""
    first, second = relation.subject, relation.object
    found = None if first == second else measures(relation.predicate, bool(regions[second]))
    result = []
    for measure in found or ():
        axis = int(any(measure.subject[1::2]))
        (low, high), (other_low, other_high) = measure.subject[axis::2], measure.object[axis::2]
        row = [(2 * first, low), (2 * first + 1, high), (2 * second, -other_low), (2 * second + 1, -other_high)]
        result.append(_Constraint(axis, row, measure.slack - margin, number))
    return result


def _solve(boxes: np.ndarray, constraints: Iterable[_Constraint], free: Sequence[bool]) -> np.ndarray | None:
    """The boxes (n, 4) that satisfy all constraints with the least change; None if no boxes do."""
    result = np.empty_like(boxes)
    listed, weights = list(constraints), np.where(is_region(boxes), ROOTED, 1.0)
    for axis in (0, 1):
        edges = _solve_axis(boxes[:, axis::2], [c for c in listed if c.axis == axis], free, weights)
        if edges is None:
            return None
        result[:, axis::2] = edges
    return result


def _solve_axis(
    edges: np.ndarray, constraints: Sequence[_Constraint], free: Sequence[bool], weights: np.ndarray
) -> np.ndarray | None:
    """The same for the lower and upper edges (n, 2) along one axis, with the weight (n,) of changing each box.

    The variables of the linear program are 2 n edges, 2 n deviations of edges, n deviations of sizes, and the
    violation of each separation constraint.
    """
    count = len(edges)
    wanted = edges.ravel()
    size = wanted[1::2] - wanted[::2]
    rows: list[tuple[Row, float]] = [(c.row, c.bound) for c in constraints if c.source >= 0]
    separations = [c for c in constraints if c.source < 0]
    rows += [([*c.row, (5 * count + number, -1.0)], c.bound) for number, c in enumerate(separations)]
    for edge in range(2 * count):
        rows.append(([(edge, 1.0), (2 * count + edge, -1.0)], wanted[edge]))
        rows.append(([(edge, -1.0), (2 * count + edge, -1.0)], -wanted[edge]))
    for thing in range(count):
        low, high, change = 2 * thing, 2 * thing + 1, 4 * count + thing
        rows.append(([(high, 1.0), (low, -1.0), (change, -1.0)], size[thing]))
        rows.append(([(high, -1.0), (low, 1.0), (change, -1.0)], -size[thing]))
    rows += _smallest_sizes(edges)
    moving, stuck = np.repeat(weights, 2), np.full(len(separations), STUCK)
    cost = np.concatenate([np.zeros(2 * count), moving, RESIZING * weights, stuck])
    found = _linear_program(cost, rows, _bounds(wanted, free))
    return found.x[: 2 * count].reshape(count, 2) if found.status == 0 else None


def _smallest_sizes(edges: np.ndarray) -> list[tuple[Row, float]]:
    """Rows that keep every side along one axis (n, 2) from becoming too small."""
    sizes = edges[:, 1] - edges[:, 0]
    return [([(2 * i, 1.0), (2 * i + 1, -1.0)], -min(SMALLEST, size)) for i, size in enumerate(sizes)]


def _bounds(edges: np.ndarray, free: Sequence[bool]) -> list[tuple[float, float]]:
    """Bounds of edges (2 n,): the canvas for free boxes, the present place for fixed ones."""
    fixed = np.repeat(~np.asarray(free, dtype=bool), 2)
    return [(float(e), float(e)) if f else (0.0, 1.0) for e, f in zip(edges, fixed, strict=True)]


def _linear_program(
    cost: np.ndarray, rows: Sequence[tuple[Row, float]], bounds: list[tuple[float, float]]
) -> OptimizeResult:
    """Minimize the cost under rows ``sum(coefficient * variable) <= bound``; variables without bounds are positive."""
    places = [(number, variable, value) for number, (row, _) in enumerate(rows) for variable, value in row]
    numbers, columns, values = zip(*places, strict=True)
    matrix = coo_array((values, (numbers, columns)), shape=(len(rows), len(cost))).tocsr()
    more = [(0.0, None)] * (len(cost) - len(bounds))
    return linprog(cost, matrix, [bound for _, bound in rows], bounds=[*bounds, *more])


def _separate_overlaps(
    scene: Scene, wanted: np.ndarray, boxes: np.ndarray, constraints: list[_Constraint], free: Sequence[bool]
) -> np.ndarray:
    """Boxes none of which covers more than the allowed fraction of another, as far as the relations permit.

    Things may lie in regions, and where the scene says that they touch.

    Every pass separates each pair that overlaps too much in the direction of the shortest way apart. A pair that could
    not be separated in one direction is tried in the next one.
    """
    nesting = [relation for relation in scene.relations if relation.predicate in ("inside", "surrounding")]
    touching = [relation for relation in scene.relations if relation.predicate in CONTACTS]
    nested = {frozenset((relation.subject, relation.object)) for relation in (*complete(nesting), *touching)}
    ways: dict[tuple[int, int], list[list[_Constraint]]] = {}
    for _ in range(ROUNDS):
        blocked = [pair for pair, (way, *_) in ways.items() if any(_is_broken(part, boxes) for part in way)]
        close = [pair for pair in _overlapping_pairs(boxes, free) if pair not in ways and frozenset(pair) not in nested]
        if not blocked and not close:
            break
        for pair in blocked:
            ways[pair] = ways[pair][1:] or [[]]
        ways |= {pair: _separations(*pair, boxes) for pair in close}
        solved = _solve(wanted, [*constraints, *(part for way, *_ in ways.values() for part in way)], free)
        if solved is None:
            break  # the solver failed; the boxes found so far show all relations, too
        boxes = solved
    return boxes


def _is_broken(constraint: _Constraint, boxes: np.ndarray) -> bool:
    edges = boxes[:, constraint.axis :: 2].ravel()
    return float(sum(coefficient * edges[edge] for edge, coefficient in constraint.row)) > constraint.bound + 1e-6


def _overlapping_pairs(boxes: np.ndarray, free: Sequence[bool]) -> list[tuple[int, int]]:
    """Pairs of boxes one of which covers too much of the other, the worst first."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    smaller = np.minimum(box_area(boxes)[:, None], box_area(boxes)[None])
    share = np.triu(box_area(np.concatenate([low, high], axis=-1)) / np.maximum(smaller, 1e-9), 1)
    regions = is_region(boxes)
    worst = np.argwhere((share > COVERED + 1e-6) & ~regions[:, None] & ~regions)
    order = np.argsort(-share[tuple(worst.T)], kind="stable")
    return [(int(i), int(j)) for i, j in worst[order] if free[i] or free[j]]


def _separations(one: int, other: int, boxes: np.ndarray) -> list[list[_Constraint]]:
    """Constraints that separate two boxes along either axis in either order, the shortest way first."""
    ways: list[tuple[float, int, list[_Constraint]]] = []
    for axis in (0, 1):
        limit = COVERED * float((boxes[[one, other], axis + 2] - boxes[[one, other], axis]).min())
        for before, after in ((one, other), (other, one)):
            excess = float(boxes[before, axis + 2] - boxes[after, axis]) - limit
            # The allowed part is of the new sizes, because boxes may shrink.
            common: Row = [(2 * before + 1, 1.0), (2 * after, -1.0)]
            allowed: list[Row] = [[(2 * thing, COVERED), (2 * thing + 1, -COVERED)] for thing in (one, other)]
            ways.append((excess, len(ways), [_Constraint(axis, [*common, *part], -1e-6, -1) for part in allowed]))
    return [way for _, _, way in sorted(ways, key=lambda way: way[:2])]


def _contradiction(scene: Scene, boxes: np.ndarray, regions: np.ndarray, free: Sequence[bool]) -> list[int]:
    """The numbers of relations that contradict each other: a minimal set, any one of which may be dropped."""
    constraints = _constraints(scene, TIGHT, regions)
    needed: set[int] = set()
    for axis in (0, 1):
        needed |= _conflicting(boxes[:, axis::2], [c for c in constraints if c.axis == axis], free)
    for number in sorted(needed):
        without = [c for c in constraints if c.source in needed - {number}]
        if _solve(boxes, without, free) is None:
            needed.remove(number)
    return sorted(needed)


def _complaint(scene: Scene, needed: Sequence[int], free: Sequence[bool]) -> str:
    """The message for a minimal set of relations that contradict each other."""
    listed = "; ".join(relation_to_text(scene, number) for number in needed)
    fixed = "" if all(free) else ", or give boxes more room"
    return f"relationships contradict each other: {listed}; drop one of them{fixed}"


def _conflicting(edges: np.ndarray, constraints: Sequence[_Constraint], free: Sequence[bool]) -> set[int]:
    """The numbers of a few relations that cannot all hold along one axis; none if all can."""
    violations, prices = _violated(edges, constraints, range(len(constraints)), free)
    if not violations.any():
        return set()
    # The first program favours the longest contradictory cycle. Requiring a margin of the most violated constraint
    # alone favours the shortest one.
    worst = int(violations.argmax())
    strict = [c if number == worst else replace(c, bound=0.0) for number, c in enumerate(constraints)]
    _, shorter = _violated(edges, strict, [0] * len(strict), free)
    priced = zip(constraints, shorter if shorter.any() else prices, strict=True)
    return {constraint.source for constraint, price in priced if price}


def _violated(
    edges: np.ndarray, constraints: Sequence[_Constraint], slacks: Sequence[int], free: Sequence[bool]
) -> tuple[np.ndarray, np.ndarray]:
    """The violations that are least in sum, and the dual price of each constraint.

    Constraint i may be violated by slack number ``slacks[i]``. Constraints with prices cannot all hold (Farkas' lemma).
    """
    first = 2 * len(edges)
    rows: list[tuple[Row, float]] = [
        ([*c.row, (first + slack, -1.0)], c.bound) for c, slack in zip(constraints, slacks, strict=True)
    ]
    rows += _smallest_sizes(edges)
    cost = np.concatenate([np.zeros(first), np.ones(len(set(slacks)))])
    found = _linear_program(cost, rows, _bounds(edges.ravel(), free))
    values, prices = found.x[first:], -found.ineqlin.marginals[: len(constraints)]
    return np.where(values > 1e-9, values, 0), np.where(prices > 1e-9, prices, 0)
