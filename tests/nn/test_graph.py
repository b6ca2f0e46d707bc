from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from scenograph.nn import graph
from scenograph.nn.graph import Edges, GraphTripleConv, Relu


def test_half_precision_clamps_bits_as_numbers():
    numbers = torch.tensor([-torch.inf, -3.0, -1e-40, -0.0, 0.0, 1e-40, 0.3, 7.0, torch.inf]).bfloat16()
    with torch.no_grad():
        assert torch.equal(Relu()(numbers.clone()), F.relu(numbers))
    wanted = numbers.clone().requires_grad_()
    Relu()(wanted * 1).sum().backward()
    assert torch.equal(wanted.grad, (numbers > 0).bfloat16())


@pytest.mark.parametrize("normalization", ["none", "batch"])
@pytest.mark.parametrize("pooling", ["avg", "sum"])
@pytest.mark.parametrize("believed", [False, True])
def test_graph_layers_offer_the_same_in_parts(monkeypatch, pooling, normalization, believed):
    torch.manual_seed(0)
    layer = GraphTripleConv(6, 5, 7, pooling, normalization).double()
    objects, predicates, edges = torch.randn(4, 6).double(), torch.randn(10, 6).double(), torch.randint(0, 4, (10, 2))
    given = edges, 4, torch.rand(10).double() if believed else None
    for training in (True, False):  # in training batch norms see all triples at once
        states = [copy.deepcopy(layer).train(training) for _ in range(2)]
        whole = states[0](objects, predicates, Edges.of(*given, training))
        with monkeypatch.context() as patch:
            patch.setattr(graph, "TOGETHER", 3)
            parts = Edges.of(*given, training)
            assert len(parts.parts) == (1 if training else 4)
            torch.testing.assert_close(states[1](objects, predicates, parts), whole)


@pytest.mark.parametrize("pooling", ["avg", "sum"])
@pytest.mark.parametrize("triples", [0, 10])
def test_graph_layers_give_objects_alone(monkeypatch, pooling, triples):
    torch.manual_seed(0)
    layer = GraphTripleConv(6, 5, 7, pooling, predicate_dim=3).double().eval()
    objects, predicates = torch.randn(4, 6).double().requires_grad_(), torch.randn(2, 3).double().requires_grad_()
    rows, kinds = torch.randint(0, 4, (triples, 2)), torch.randint(0, 2, (triples,))
    wanted, _ = layer(objects, predicates[kinds], Edges.of(rows, 4))
    asked = objects, predicates, *layer.parameters()
    gradients = torch.autograd.grad(wanted.square().sum(), asked, allow_unused=True, materialize_grads=True)
    monkeypatch.setattr(graph, "TOGETHER", 3)
    found = layer.objects_alone(objects, predicates, kinds, Edges.of(rows, 4))
    torch.testing.assert_close(found, wanted)
    again = torch.autograd.grad(found.square().sum(), asked, allow_unused=True, materialize_grads=True)
    torch.testing.assert_close(again, gradients)
