"""Optimizers without torch's compiler: the same numbers, and none of its modules."""

import subprocess
import sys

import pytest
import torch

from npfl139.eager import skip_compiler

# Trains a little with every optimizer, saves and loads its state; prints every parameter to the last bit, and whether the compiler came.
PROGRAM = """
import sys, torch
if sys.argv[1] == "skipping":
    from npfl139.eager import skip_compiler
    skip_compiler()
    skip_compiler()
for name in ("Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD"):
    torch.manual_seed(1)
    weights = [torch.nn.Parameter(torch.randn(3, 2)), torch.nn.Parameter(torch.randn(2))]
    inputs = torch.randn(5, 3)
    make = getattr(torch.optim, name)
    optimizer = make(weights[:1], lr=0.1)
    optimizer.add_param_group({"params": weights[1:], "lr": 0.01})
    for step in range(4):
        optimizer.zero_grad()
        (inputs @ weights[0] + weights[1]).square().sum().backward()
        with torch.no_grad() if step % 2 else torch.enable_grad():
            optimizer.step()
            assert torch.is_grad_enabled() == (step % 2 == 0)
        state = optimizer.state_dict()
        optimizer = make([{"params": weights[:1]}, {"params": weights[1:]}], lr=0.1)
        optimizer.load_state_dict(state)
    print(name, [number.hex() for weight in weights for number in weight.flatten().tolist()])
print("torch._dynamo" in sys.modules)
"""


def printed(how):
    finished = subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    *numbers, compiler = finished.stdout.splitlines()
    return numbers, compiler


def test_every_optimizer_takes_the_same_steps_and_loads_no_compiler():
    skipping, as_torch_does = printed("skipping"), printed("as torch does")
    assert len(skipping[0]) == 11 and skipping[0] == as_torch_does[0]
    assert (skipping[1], as_torch_does[1]) == ("False", "True")  # where the second is False, torch needs our help no more


def test_a_step_with_a_closure_and_hooks_goes_through():
    skip_compiler()
    weight = torch.nn.Parameter(torch.tensor([2.0]))
    optimizer, hooked = torch.optim.SGD([weight], lr=0.25), []
    optimizer.register_step_post_hook(lambda *arguments: hooked.append(True))

    def closure():
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 4.0
    assert weight.item() == 1.0 and hooked == [True]


def test_where_the_compiler_is_loaded_torch_has_its_own_way(monkeypatch):
    skip_compiler()
    weight = torch.nn.Parameter(torch.tensor([2.0]))
    optimizer = torch.optim.SGD([weight], lr=0.25)
    compiler = pytest.importorskip("torch._dynamo")
    breaks = []
    monkeypatch.setattr(compiler, "graph_break", lambda *arguments: breaks.append(True))
    weight.grad = torch.tensor([4.0])
    optimizer.step()
    assert weight.item() == 1.0 and breaks == [True, True]


def test_a_short_training_loads_no_compiler(tmp_path):
    program = (
        "import sys, npfl139.runs, solutions.ppo\n"
        "npfl139.runs.main(solutions.ppo.train, sys.argv[1:])\n"
        "sys.exit(any(name in sys.modules for name in ('torch._dynamo', 'torch._inductor', 'sympy')))"
    )
    arguments = ["--env", "CartPole-v1", "--steps", "1024", "--episodes", "1", "--out", str(tmp_path / "run")]
    assert subprocess.run([sys.executable, "-c", program, *arguments]).returncode == 0
