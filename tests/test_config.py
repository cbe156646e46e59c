import dataclasses

import pytest
import torch

from npfl139.config import Config


def test_configurations_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().seed = 1


def test_devices():
    assert Config(device="cpu").torch_device == torch.device("cpu")
    assert Config(device="auto").torch_device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ValueError, match="device must be auto, cpu or cuda, got 'tpu'"):
        Config(device="tpu")


def test_a_missing_gpu_is_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="no usable GPU; use cpu or auto"):
        Config(device="cuda")
