"""NGU as a whole: what its replay holds, what its networks learn, what evaluation leaves alone. The hidden checks test its exercises."""

import dataclasses

import numpy as np
import pytest
import torch

import solutions.ngu as ngu
from npfl139 import envs
from npfl139.checkpoints import load_checkpoint, save_checkpoint
from npfl139.evaluation import evaluate
from npfl139.recurrent.actors import play
from npfl139.rollout import Collector
from npfl139.runs import MemoryMonitor
from npfl139.seeding import numpy_stream
from solutions import r2d2

MAZE = "npfl139/SmallDiscoMaze-v0"
TINY = ngu.NGUConfig(
    seed=3, steps=1000, env_count=4, sequence_length=8, sequence_period=4, burn_in=3, replay_rows=2000, replay_sequences=300,
    batch_size=6, memory_size=8, head_size=8, learning_starts=500, steps_per_update=50, novelty_warmup=3, novelty_sizes=(16,),
)  # fmt: skip


def made(environment_id=MAZE, **changes):
    config = dataclasses.replace(TINY, **changes)
    environments = envs.make(environment_id, config.env_count, 1)
    return ngu.make_agent(environments.single_observation_space, environments.single_action_space, config), environments


def acted(agent, environments, steps, epsilon=0.5):
    """Return the actors, their replay and the experience of some steps."""
    collector, replay = Collector(environments), r2d2.make_replay(agent, agent.config)
    actors = agent.explorers(np.full(environments.num_envs, epsilon), numpy_stream(1, "exploration"))
    experience = []
    for _ in range(steps):
        experience.append(play(collector, actors))
        replay.add(np.arange(environments.num_envs), *experience[-1])
    return actors, replay, experience


def trained(environment_id=MAZE, **changes):
    config, monitor = dataclasses.replace(TINY, **changes), MemoryMonitor()
    return ngu.train(envs.make(environment_id, config.env_count, 1), config, monitor), monitor


def test_the_novelty_of_a_state_belongs_to_the_step_that_led_there():
    agent, environments = made()
    _, _, experience = acted(agent, environments, 90)
    for before, after in zip(experience[:-1], experience[1:], strict=True):
        assert (before.row["intrinsic"] > 0).all()
        np.testing.assert_array_equal(before.successor["previous_intrinsic"], before.row["intrinsic"])
        np.testing.assert_array_equal(after.row["previous_intrinsic"], np.where(before.ended, 0, before.row["intrinsic"]))


def test_the_replay_tells_with_which_probability_the_actor_acted():
    agent, environments = made()
    agent.updates = 1  # before the first one all steps are random
    _, _, experience = acted(agent, environments, 30, epsilon=0.4)
    shares = np.concatenate([step.row["behaviour"] for step in experience])
    assert set(shares.round(4).tolist()) == {np.float32(0.1).item(), np.float32(0.7).item()}


def test_an_episode_begins_with_a_memory_of_its_first_state_alone():
    agent, environments = made()
    actors, _, experience = acted(agent, environments, 41)  # episodes have 40 steps
    assert experience[39].ended.all()
    assert (actors.memory.count == 2).all()


def test_policies_are_dealt_out_to_all_actors_and_the_last_one_acts():
    agent, environments = made(policies=3)
    actors, *_ = acted(agent, environments, 1)
    assert actors.arm.tolist() == [0, 1, 2, 0]
    assert agent.evaluators(4).arm.tolist() == [0] * 4


def test_the_random_network_and_only_it_stays_as_it_was():
    before, _ = made()
    after, monitor = trained()
    changed = {name for name, tensor in before.novelty.state_dict().items() if not torch.equal(tensor, after.novelty.state_dict()[name])}
    for part in ("embed", "predict", "classify"):
        assert any(name.startswith(part) for name in changed)
    assert not any(name.startswith("random") for name in changed)
    assert len(monitor.scalars["novelty_loss"]) == len(monitor.scalars["loss"]) > 2


def test_a_random_embedding_is_not_taught():
    before, _ = made()
    after, _ = trained(embedding="random")
    for one, other in zip(before.novelty.embed.parameters(), after.novelty.embed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_to_evaluate_changes_nothing_about_what_is_novel():
    agent, _ = trained()
    before = {name: tensor.clone() for name, tensor in agent.novelty.state_dict().items()}
    evaluate(agent.act, envs.make(MAZE, 4, 9), 8)
    assert all(torch.equal(tensor, before[name]) for name, tensor in agent.novelty.state_dict().items())


def test_a_checkpoint_holds_what_is_novel(tmp_path):
    agent, environments = made()
    acted(agent, environments, 10)
    save_checkpoint(tmp_path / "agent", agent, {})
    other, _ = made(seed=4)
    load_checkpoint(tmp_path / "agent", other)
    assert other.novelty.distances.mean == agent.novelty.distances.mean > 0
    for name, tensor in agent.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name


def test_the_last_steps_of_each_sequence_teach_the_embedding(monkeypatch):
    agent, environments = made()
    _, replay, _ = acted(agent, environments, 90)
    batch = agent.batch(replay.sample(np.linspace(0, 0.99, 6)))
    taught = []
    monkeypatch.setattr(agent.novelty, "loss", lambda *rows: taught.append(rows) or agent.novelty.errors_of(rows[0]).mean())
    agent.learn_novelty(batch, 5)
    before, after, action, valid = (column.unflatten(0, (5, 6)) for column in taught[0])
    assert valid.any()
    for back, sequence in valid.nonzero().tolist():
        row = agent.config.burn_in + int(batch.mask[:, sequence].sum()) - 1 - back
        assert action[back, sequence] == batch.rows["action"][row, sequence]
        for column, later in ((before, 0), (after, 1)):
            seen = batch.rows["observation"][row + later, sequence].flatten() / 255
            torch.testing.assert_close(column[back, sequence], seen)


def test_cross_mixture_relabels_whole_sequences_at_about_its_rate():
    agent, environments = made(policies=50, cross_mixture=0.5)
    _, replay, _ = acted(agent, environments, 90)
    sequences = replay.sample(np.linspace(0, 0.999, 400))
    own, arm = sequences.rows["arm"][0].copy(), agent.batch(sequences).rows["arm"]
    assert (arm == arm[0]).all()
    assert 0.4 < (arm[0].numpy() != own).mean() < 0.6


@pytest.mark.parametrize("novelty", ["episodic", "life-long", "none"])
def test_every_kind_of_novelty_trains(novelty):
    agent, _ = trained(novelty=novelty)
    *_, experience = acted(agent, envs.make(MAZE, 4, 1), 20)
    rewards = np.stack([step.row["intrinsic"] for step in experience])
    assert (rewards >= 0).all()
    assert (rewards > 0).any() == (novelty != "none")


def test_raw_rewards_are_larger_by_their_root_mean_square():
    agents = [made(intrinsic_scale=scale)[0] for scale in ("unit", "raw")]
    unit, raw = (np.stack([step.row["intrinsic"] for step in acted(agent, envs.make(MAZE, 4, 1), 30, 1.0)[2]]) for agent in agents)
    root = np.sqrt(np.cumsum((raw**2).mean(1)) / np.arange(1, 31))
    np.testing.assert_allclose(unit * root[:, None], raw, rtol=1e-3)


def test_a_network_from_which_the_intrinsic_reward_is_hidden_does_not_depend_on_it():
    for shown in ("shown", "hidden"):
        agent, environments = made(intrinsic_input=shown)
        _, replay, _ = acted(agent, environments, 90)
        batch = agent.batch(replay.sample(np.linspace(0, 0.99, 6)))
        before = agent.values(agent.network, batch)
        batch.rows["previous_intrinsic"] += 1
        assert torch.equal(agent.values(agent.network, batch), before) == (shown == "hidden")


def test_a_pixel_that_is_seldom_lit_is_strange_only_where_observations_are_normalized():
    seen = torch.zeros(1000, 147)
    seen[::2, 0], seen[0, 1] = 1.0, 1.0
    often, seldom = torch.eye(147)[:2]
    strange = {}
    for taken in ("normalized", "raw"):
        novelty = made(life_long_input=taken)[0].novelty
        novelty.observations.update(seen)
        errors = novelty.errors_of(torch.stack([often, seldom]))
        strange[taken] = (errors[1] / errors[0]).item()
    assert strange["normalized"] > 20 and 0.3 < strange["raw"] < 3


@pytest.mark.parametrize("field", ["embedding", "novelty", "intrinsic_scale", "intrinsic_input", "life_long_input"])
def test_a_choice_that_does_not_exist_is_refused(field):
    with pytest.raises(ValueError, match=f"{field} must be .* or .*, got 'other'"):
        dataclasses.replace(TINY, **{field: "other"})


def test_spaces_that_it_cannot_handle_are_refused():
    environments = envs.make("npfl139/CollectContinuous-v0", 1, 1)
    with pytest.raises(ValueError, match="actions must be Discrete"):
        ngu.make_agent(environments.single_observation_space, environments.single_action_space, TINY)


SMALL = {"steps": 120, "env_count": 2, "replay_rows": 400, "replay_sequences": 50, "learning_starts": 100, "steps_per_update": 10}


def test_the_configuration_of_the_paper_learns_from_pong():
    pytest.importorskip("ale_py", reason="the extra atari is not installed")
    config = dataclasses.replace(ngu.CONFIGS["paper"], **SMALL, batch_size=2, sequence_length=20, sequence_period=10, memory_capacity=300)
    monitor = MemoryMonitor()
    agent = ngu.train(envs.make("ALE/Pong-v5", 2, 1), config, monitor)
    assert agent.updates == 2 and agent.action_count == 18
    assert np.isfinite(monitor.scalars["loss"]).all() and np.isfinite(monitor.scalars["novelty_loss"]).all()
    assert agent.network.torso.shape == (1, 84, 84)
