"""The hidden checks of `r2d2`."""

import numpy as np
import torch

from grader.contract.expect import expect, expect_close, expect_count, expect_error, expect_numbers, normal, uniform
from grader.contract.naive import h, h_inverse
from grader.contract.spec import Topic, check, checks_of
from grader.contract.student import StudentError
from grader.contract.training import learns
from npfl139.recurrent.networks import RecurrentNetwork
from solutions.r2d2 import CONFIGS, R2D2Config, n_step_double_q_targets

GAMMA = 0.9


# Values and targets


@check("dueling")
def check_dueling_adds_centred_advantages(student, rng):
    """Action values are the state's value plus the advantages less their mean over the actions."""
    for shape in ((5,), (4, 3), (2, 3, 6)):
        value, advantage = normal(rng, *shape[:-1], 1), normal(rng, *shape) + 2
        expected = np.zeros(shape)
        for index in np.ndindex(*shape[:-1]):
            mean = sum(advantage[index].tolist()) / shape[-1]
            expected[index] = [value[index].item() + a - mean for a in advantage[index].tolist()]
        expect_close(student.dueling(value, advantage), expected, "q")


@check("dueling")
def check_dueling_ignores_a_constant_in_the_advantages(student, rng):
    """A constant added to all advantages of a state changes nothing: no gradient by it, and the mean of q is v."""
    value, advantage = normal(rng, 3, 4, 1), normal(rng, 3, 4, 5)
    q, (by_value, by_advantage) = student.gradient("dueling", value, advantage, wrt=[0, 1])
    expect_close(q, value + advantage - advantage.mean(-1, keepdim=True), "q")
    expect_close(by_value, np.full((3, 4, 1), 5.0), "the gradient by the state's value")
    expect_close(by_advantage, np.zeros((3, 4, 5)), "the gradient of the sum of q by the advantages")


def transitions(rng, length, batch, actions, terminated=0.1, truncated=0.1):
    """Return reward, discount and same_episode [T, B], and two sets of values [T, B, A], in float64."""
    kind = rng.choice(3, size=(length, batch), p=[1 - terminated - truncated, terminated, truncated])
    discount = torch.as_tensor(np.where(kind == 1, 0.0, GAMMA))
    values = (normal(rng, length, batch, actions, dtype=torch.float64) * 4 for _ in range(2))
    return normal(rng, length, batch, dtype=torch.float64), discount, torch.as_tensor((kind == 0) * 1.0), *values


def double_q_targets(reward, discount, same_episode, q_online, q_target, steps):
    """Return the targets by loops over their definition."""
    length, batch = reward.shape
    result = np.zeros((length, batch))
    for t, b in np.ndindex(length, batch):
        factor, last = 1.0, t
        for last in range(t, min(t + steps, length)):
            result[t, b] += factor * reward[last, b].item()
            factor *= discount[last, b].item()
            if not same_episode[last, b]:
                break
        choice = max(range(q_online.shape[2]), key=lambda a, at=last, row=b: q_online[at, row, a].item())
        result[t, b] += factor * q_target[last, b, choice].item()
    return result


@check("n_step_double_q_targets", points=2)
def check_targets_inside_an_episode(student, rng):
    """A target is n discounted rewards plus the discounted value of the state after them, and shorter sums at the end."""
    for length, batch, steps in ((9, 2, 1), (9, 3, 3), (12, 2, 5), (3, 4, 7)):
        arguments = transitions(rng, length, batch, 4, 0, 0)
        expect_close(student.n_step_double_q_targets(*arguments, steps), double_q_targets(*arguments, steps), "the targets")


@check("n_step_double_q_targets")
def check_targets_stop_at_the_end_of_an_episode(student, rng):
    """No reward and no value of another episode enters a target: a terminated episode adds no value, a truncated one its last state's."""
    for steps in (1, 2, 5):
        arguments = transitions(rng, 20, 6, 3, 0.15, 0.15)
        expect_close(student.n_step_double_q_targets(*arguments, steps), double_q_targets(*arguments, steps), "the targets")
    reward = torch.tensor([[1.0], [2.0], [4.0], [8.0]], dtype=torch.float64)
    same_episode = torch.tensor([[1.0], [0.0], [1.0], [1.0]], dtype=torch.float64)
    q = torch.full((4, 1, 2), 16.0, dtype=torch.float64)
    for terminated, expected in ((0.5, [1 + 1 + 4, 2 + 8]), (0.0, [1 + 1, 2])):
        discount = torch.tensor([[0.5], [terminated], [0.5], [0.5]], dtype=torch.float64)
        targets = student.n_step_double_q_targets(reward, discount, same_episode, q, q, 3)
        expect_close(targets, np.array([*expected, 4 + 4 + 4, 8 + 8])[:, None], "the targets")


@check("n_step_double_q_targets")
def check_online_network_chooses_and_target_network_values(student, rng):
    """The action is the online network's best, its value the target network's."""
    reward, discount, same_episode, q_online, q_target = transitions(rng, 8, 5, 6, 0.1, 0.1)
    targets = student.n_step_double_q_targets(reward, discount, same_episode, q_online, q_target, 2)
    expect_close(targets, double_q_targets(reward, discount, same_episode, q_online, q_target, 2), "the targets")
    swapped = student.n_step_double_q_targets(reward, discount, same_episode, q_target, q_online, 2)
    expect_close(swapped, double_q_targets(reward, discount, same_episode, q_target, q_online, 2), "the targets")


@check("n_step_double_q_targets")
def check_targets_are_constants(student, rng):
    """No gradient flows from the targets into either network."""
    arguments = transitions(rng, 6, 3, 2)
    targets, gradients = student.gradient("n_step_double_q_targets", *arguments, 3, wrt=[3, 4])
    expect_close(targets, double_q_targets(*arguments, 3), "the targets")
    for network, gradient in zip(("online", "target"), gradients, strict=True):
        expect(gradient is None or not torch.as_tensor(gradient).any(), f"a gradient flows into the values of the {network} network")


@check("n_step_double_q_targets")
def check_targets_of_wrong_shapes_are_refused(student, rng):
    """Arguments whose shapes do not fit one another raise a ValueError, instead of being broadcast."""
    arguments = transitions(rng, 5, 3, 2)
    expect_close(student.n_step_double_q_targets(*arguments, 2), double_q_targets(*arguments, 2), "the targets")
    for indices in ((1,), (2,), (3,), (4,), (3, 4)):
        wrong = [argument[:, :1] if index in indices else argument for index, argument in enumerate(arguments)]
        expect_error(lambda wrong=wrong: student.n_step_double_q_targets(*wrong, 2), "ValueError", "shapes that do not fit one another")


def expect_transformed(student, arguments, epsilon, steps, what="the targets"):
    """Raise `Wrong` unless the targets are h of the n-step targets of h⁻¹."""
    targets = student.transformed_double_q_targets(*arguments, steps, epsilon)
    *plain, q_target = arguments
    right = double_q_targets(*plain, torch.as_tensor(h_inverse(q_target.numpy(), epsilon)), steps)
    expect_close(targets, h(right, epsilon), what)


@check("transformed_double_q_targets", stands_on=(n_step_double_q_targets,))
def check_transformed_targets_follow_their_definition(student, rng):
    """The values are transformed back before rewards are added to them, and the sum is transformed again, for values of both signs."""
    for steps, epsilon in ((1, 1e-3), (3, 1e-2), (5, 0.1)):
        reward, *others = transitions(rng, 10, 4, 3)
        expect_transformed(student, [5 * reward, *others], epsilon, steps)


@check("transformed_double_q_targets", stands_on=(n_step_double_q_targets,))
def check_transformed_targets_of_ended_episodes(student, rng):
    """Where every step ends its episode, a target is h(R), whatever the networks say."""
    reward = 20 * normal(rng, 4, 3, dtype=torch.float64)
    nothing, q = torch.zeros_like(reward), 5 * normal(rng, 4, 3, 2, dtype=torch.float64)
    expect_transformed(student, [reward, nothing, nothing, q, q], 1e-2, 3)


# Which sequences to replay


@check("sequence_priority")
def check_priority_mixes_largest_and_mean_error(student, rng):
    """A priority is η times the largest |δ| of the sequence plus 1 - η times the mean |δ|, whatever the signs."""
    for length, batch, weight in ((7, 3, 0.9), (4, 6, 0.25), (5, 2, 0.0), (5, 2, 1.0)):
        error = normal(rng, length, batch) * 3
        absolute = error.abs().numpy()
        expected = [weight * max(column) + (1 - weight) * sum(column) / length for column in absolute.T.tolist()]
        expect_close(student.sequence_priority(error, torch.ones(length, batch), weight), np.array(expected), "the priorities")
    negative = -uniform(rng, 6, 2, low=1, high=3)
    negative[3] = -9
    expected = 0.5 * 9 + 0.5 * -negative.mean(0)
    expect_close(student.sequence_priority(negative, torch.ones(6, 2), 0.5), expected, "the priorities")


@check("sequence_priority")
def check_priority_counts_only_what_is_not_masked(student, rng):
    """Steps that are masked take part neither in the maximum nor in the mean, nor in the number of steps."""
    error, length = normal(rng, 8, 5), np.array([8, 1, 3, 5, 7])
    mask = torch.as_tensor(np.arange(8)[:, None] < length).float()
    error = torch.where(mask > 0, error, 1e3)
    counted = [error[:n, b].abs().tolist() for b, n in enumerate(length)]
    expected = [0.9 * max(absolute) + 0.1 * sum(absolute) / len(absolute) for absolute in counted]
    expect_close(student.sequence_priority(error, mask, 0.9), np.array(expected), "the priorities")


@check("importance_weights")
def check_importance_weights_follow_their_definition(student, rng):
    """Weights are (N P)^-β, divided by the largest of the batch."""
    for size, exponent in ((100, 0.6), (7, 1.0), (1000, 0.3)):
        probability = uniform(rng, 9, low=1e-3, high=0.2)
        raw = [(size * p) ** -exponent for p in probability.double().tolist()]
        expect_close(student.importance_weights(probability, size, exponent), np.array(raw) / max(raw), "the weights")


@check("importance_weights")
def check_importance_weights_in_their_limits(student, rng):
    """β = 0 weighs all alike; with β = 1 a weight times its probability is the same for all; the rarest has the weight 1."""
    probability = uniform(rng, 6, low=0.01, high=0.2)
    expect_close(student.importance_weights(probability, 50, 0.0), np.ones(6), "the weights for β = 0")
    expect_close(student.importance_weights(probability, 50, 1.0), probability.min() / probability, "the weights for β = 1")


FIELDS = {"observation": [[2], "float32", 1], "action": [[], "int64", 1]}
STATE_SIZE, NEVER = 3, -99.0


class Driven:
    """A submission's replay, fed with rows that tell where they belong, beside a naive record of all episodes.

    Row r of stream b (successors counted) has the observation (b, r), the action r mod 7 and the state (b, r, 1).
    """

    fields = FIELDS

    def __init__(self, student, streams, rows, sequences, length, period, burn_in, exponent=1.0):
        self.replay = student.create("SequenceReplay", self.fields, streams, rows, sequences, length, period, burn_in, STATE_SIZE, exponent)
        self.length, self.period, self.burn_in, self.capacity = length, period, burn_in, sequences
        self.streams = np.arange(streams)
        self.position = np.zeros(streams, np.int64)
        self.episodes = [[[0, 0, False]] for _ in self.streams]  # of each stream: [first row, steps, whether it ended]

    def row(self, stream, position, valid):
        observation = np.stack([stream, position], 1).astype(np.float32)
        observation = np.where(np.reshape(valid, (-1, 1)), observation, np.float32(NEVER))
        return {"observation": observation, "action": np.where(valid, position % 7, -1)}

    def state(self, stream):
        return np.stack([stream, self.position[stream], np.ones(len(stream))], 1).astype(np.float32)

    def add(self, ended, stream=None):
        """Make one step in the streams, or in all; `ended` [B] says where the episode ends with it."""
        ended, stream = np.array(ended, bool), self.streams if stream is None else np.array(stream)
        position = self.position[stream]
        self.store(stream, self.row(stream, position, True), self.state(stream), ended, self.row(stream, position + 1, ended))
        for b, end in zip(stream, ended, strict=True):
            self.episodes[b][-1][1] += 1
            self.position[b] += 1 + end
            if end:
                self.episodes[b][-1][2] = True
                self.episodes[b].append([int(self.position[b]), 0, False])

    def store(self, *step):
        self.replay.add(*step)

    def sequences(self):
        """Return {(stream, first row): (steps, first row of the episode)} of all sequences that should ever have been stored."""
        episodes = ((b, *episode) for b, episodes in enumerate(self.episodes) for episode in episodes)
        return {(b, first + start): (steps, first) for b, first, count, ended in episodes for start, steps in self.spans(count, ended)}

    def spans(self, count, ended):
        """Yield the start and the steps of the sequences of an episode that has so many steps so far."""
        for start in range(0, count, self.period):
            if start + self.length + 1 <= count + ended:
                yield start, self.length
            elif ended and (start == 0 or start - self.period + self.length < count):
                yield start, count - start

    def table(self):
        """Return {slot: (stream, start, steps, episode, state)} of the sequences that the submission holds."""
        columns = {}
        for name, width in (("key", ()), ("stream", ()), ("start", ()), ("steps", ()), ("episode", ()), ("state", (STATE_SIZE,))):
            columns[name] = expect_numbers(self.replay.read(name), (self.capacity, *width), name)
        self.key = columns["key"].astype(np.int64)
        slots = np.flatnonzero(self.key >= 0)
        places = zip(*(columns[name][slots].astype(int).tolist() for name in ("stream", "start", "steps", "episode")), strict=True)
        return {int(slot): (*place, columns["state"][slot]) for slot, place in zip(slots, places, strict=True)}

    def check_sequences(self, expected):
        table = self.table()
        stored = sorted(entry[:4] for entry in table.values())
        wanted = sorted((stream, start, steps, episode) for (stream, start), (steps, episode) in expected.items())
        expect(len(stored) == len(wanted), f"there are {'too few' if len(stored) < len(wanted) else 'too many'} sequences in the replay")
        expect(stored == wanted, "the sequences in the replay do not begin or end where they should")
        expect(
            expect_numbers(self.replay.read("size"), (), "size") == len(wanted), "the size of the replay is not the number of its sequences"
        )
        return table


class Filled(Driven):
    """The same, but the grader itself says which sequences there are: what stands on a full replay does not stand on `add`.

    Its rows also hold a frame, the number r, which is read in stacks of two.
    """

    fields = FIELDS | {"frame": [[], "float32", 2]}

    def row(self, stream, position, valid):
        return super().row(stream, position, valid) | {"frame": np.where(valid, position, NEVER).astype(np.float32)}

    def store(self, stream, row, state, ended, successor):
        self.replay.append(stream, row, state)
        self.replay.append(stream[ended], {name: column[ended] for name, column in successor.items()}, 0 * state[ended])
        for b, end in zip(stream, ended, strict=True):
            count = self.episodes[b][-1][1]
            for start, steps in sorted(set(self.spans(count + 1, end)) - set(self.spans(count, False))):
                self.replay.insert(np.array([b]), np.array([start]), np.array([steps]))
        self.replay.restart(stream[ended])

    def weights(self):
        """Return the weights of the slots."""
        return expect_numbers(self.replay.read("weights"), (self.capacity,), "the weights")


def play(driven, rng, steps, probability):
    """Make random steps; every episode ends with the given probability."""
    for _ in range(steps):
        driven.add(rng.random(len(driven.streams)) < probability)


@check("SequenceReplay.add", points=2)
def check_sequences_of_a_running_episode_overlap(student, rng):
    """In a long episode a sequence of m steps is stored every period, and not before the row after its last step is there."""
    for length, period in ((4, 2), (5, 5), (6, 3)):
        driven = Driven(student, 2, 60, 40, length, period, 0)
        for step in range(24):
            driven.add([False, step == 19])
            if step in (length - 1, length, length + period - 1, length + period, 23):
                driven.check_sequences(driven.sequences())


@check("SequenceReplay.add")
def check_the_end_of_an_episode_is_stored(student, rng):
    """The steps at the end of an episode are stored exactly when no sequence holds them yet; no sequence crosses the end of an episode."""
    for steps in range(1, 12):
        driven = Driven(student, 1, 60, 40, 4, 2, 2)
        for step in range(steps):
            driven.add([step == steps - 1])
        driven.check_sequences(driven.sequences())
        for _ in range(5):
            driven.add([False])
        driven.check_sequences(driven.sequences())


@check("SequenceReplay.add")
def check_streams_do_not_mix(student, rng):
    """Every environment's episodes become sequences of their own, with the state that was stored l rows before they start, or zeros
    at the start of an episode."""
    for length, period, prefix in ((6, 3, 2), (5, 4, 4), (4, 4, 0)):
        driven = Driven(student, 4, 200, 300, length, period, prefix)
        play(driven, rng, 60, 0.08)
        for stream, start, _, episode, state in driven.check_sequences(driven.sequences()).values():
            expected = [stream, start - prefix, 1] if start > episode else [0, 0, 0]
            expect_close(state, np.array(expected, np.float32), "the stored state")


@check("SequenceReplay.add")
def check_streams_advance_alone(student, rng):
    """Only the streams that made a step get rows and sequences, in whichever order they are given; the others stay as they are."""
    driven = Driven(student, 4, 200, 300, 4, 2, 1)
    for _ in range(70):
        stream = rng.permutation(4)[: rng.integers(1, 4)]
        driven.add(rng.random(len(stream)) < 0.12, stream)
    driven.check_sequences(driven.sequences())


@check("SequenceReplay.add")
def check_rows_are_stored_as_they_came(student, rng):
    """Every row is stored as it was given, and after the last row of an episode its successor, which belongs to no other stream."""
    driven = Driven(student, 3, 100, 60, 4, 2, 1)
    for _ in range(25):
        stream = rng.permutation(3)[: rng.integers(1, 4)]
        driven.add(rng.random(len(stream)) < 0.2, stream)
    for b in driven.streams:
        position = np.arange(driven.position[b])
        rows = driven.replay.rows_at(np.array([b]), position[:, None])
        expect(type(rows) is dict and rows.keys() == FIELDS.keys(), "the rows must have the columns of the replay")
        expected = driven.row(np.full(len(position), b), position, True)
        for name, column in expected.items():
            expect_close(rows[name], column[:, None], f"the column {name} of the rows")


@check("SequenceReplay.add")
def check_old_sequences_go(student, rng):
    """The replay holds at most as many sequences as it was made for, and none whose rows have been overwritten."""
    driven = Driven(student, 2, 100, 7, 4, 2, 1)
    play(driven, rng, 40, 0.1)
    table = driven.table()
    expect(len(table) == 7, "a full replay must hold as many sequences as it was made for")
    expect(set(driven.key) == set(range(driven.key.max() - 6, driven.key.max() + 1)), "the oldest sequences must go first")
    driven = Driven(student, 1, 20, 200, 4, 2, 1)
    play(driven, rng, 100, 0.05)
    kept = {place: entry for place, entry in driven.sequences().items() if place[1] - 1 > driven.position[0] - 20 - 1}
    driven.check_sequences(kept)


def expected_slots(weights, mass):
    """Return for each mass the slot in whose span of the cumulative weights it falls, by a loop."""
    slots = []
    for amount in mass:
        slots.append(next((slot for slot, end in enumerate(np.cumsum(weights)) if amount < end), len(weights) - 1))
    return slots


def expect_implemented(call):
    """Let a missing exercise fail for itself, before the check needs another one; what the call does else is of no interest."""
    try:
        call()
    except StudentError as error:
        if error.verdict != "crashed":
            raise


def sampled_from(*arguments):
    """Return a `Filled` replay for a check of `sample`."""
    filled = Filled(*arguments)
    expect_implemented(lambda: filled.replay.sample(np.full(1, 0.5)))
    return filled


def updated_in(*arguments):
    """Return a `Filled` replay for a check of `update_priorities`."""
    filled = Filled(*arguments)
    expect_implemented(lambda: filled.replay.update_priorities(np.zeros(1, np.int64), np.ones(1)))
    return filled


def check_batch(driven, batch, uniform_numbers, weights):
    """Raise `Wrong` unless the batch is what the uniform numbers select under the weights of the slots."""
    expect_count(batch, 6, "the batch")
    count, table = len(uniform_numbers), driven.table()
    key, probability, warm, state, length, rows = batch
    slots = expected_slots(weights, (np.arange(count) + uniform_numbers) / count * sum(weights))
    expect_close(key, driven.key[slots], "the keys")
    expect_close(probability, np.array([weights[slot] for slot in slots]) / sum(weights), "the probabilities")
    entries = [table[slot] for slot in slots]
    expect_close(np.asarray(warm, np.float64), np.array([start > episode for _, start, _, episode, _ in entries], float), "warm")
    expect_close(state, np.stack([entry[4] for entry in entries]), "the states")
    expect_close(length, np.array([entry[2] for entry in entries]), "the lengths")
    expect(type(rows) is dict and rows.keys() == driven.fields.keys(), "rows must hold the columns of the replay by name")
    expected, frames = np.zeros((2, driven.burn_in + driven.length + 1, count, 2))
    for b, (stream, start, steps, episode, _) in enumerate(entries):
        for t in range(len(expected)):
            earliest = start - driven.burn_in if start > episode else start
            position = min(max(start - driven.burn_in + t, earliest), start + steps)
            expected[t, b], frames[t, b] = (stream, position), (max(position - 1, episode), position)
    expect_close(rows["observation"], expected, "the observations")
    expect_close(rows["action"], expected[..., 1] % 7, "the actions")
    expect_close(rows["frame"], frames, "the stacked frames, none of which is of another episode,")


@check("SequenceReplay.sample", points=2)
def check_sample_returns_the_rows_of_its_sequences(student, rng):
    """A sampled sequence comes with the rows of its burn-in, of its steps and the one after; the nearest one stands for those that
    are missing."""
    for length, period, prefix in ((4, 2, 2), (6, 3, 1), (3, 3, 0)):
        driven = sampled_from(student, 3, 80, 64, length, period, prefix)
        play(driven, rng, 45, 0.12)
        weights = np.zeros(64)
        weights[list(driven.table())] = 1
        for count in (1, 5, 40):
            numbers = rng.uniform(0.02, 0.98, count)
            check_batch(driven, driven.replay.sample(numbers), numbers, weights)


@check("SequenceReplay.sample")
def check_sample_follows_the_priorities(student, rng):
    """One sequence is drawn from each of B equal parts of the cumulative weights, and its probability is told."""
    driven = sampled_from(student, 2, 100, 32, 4, 2, 1)
    play(driven, rng, 30, 0.1)
    priority = rng.uniform(0.1, 4, 32)
    priority[list(driven.table())[3]] = 60
    weights = np.where(driven.key >= 0, priority, 0)
    driven.replay.reweigh(np.arange(32), weights)
    for count in (3, 64):
        numbers = rng.uniform(0.02, 0.98, count)
        check_batch(driven, driven.replay.sample(numbers), numbers, weights)


@check("SequenceReplay.sample")
def check_sample_tells_the_numbers_of_its_sequences(student, rng):
    """The keys are the numbers of the sequences, also when the table is full and sequences have taken the slots of older ones."""
    driven = sampled_from(student, 2, 100, 6, 4, 2, 1)
    play(driven, rng, 30, 0.05)
    weights = np.zeros(6)
    weights[list(driven.table())] = 1
    uniform_numbers = rng.uniform(0.02, 0.98, 18)
    check_batch(driven, driven.replay.sample(uniform_numbers), uniform_numbers, weights)


@check("SequenceReplay.sample")
def check_sample_of_an_empty_replay_is_refused(student, rng):
    """To sample from a replay without sequences raises a ValueError; with a single sequence every draw returns it."""
    driven = sampled_from(student, 1, 40, 8, 4, 2, 0)
    driven.add([False])
    expect_error(lambda: driven.replay.sample(np.full(2, 0.5)), "ValueError", "sampling from an empty replay")
    driven.add([True])
    check_batch(driven, driven.replay.sample(np.full(3, 0.5)), np.full(3, 0.5), np.eye(8)[driven.table().popitem()[0]])


@check("SequenceReplay.update_priorities", points=2)
def check_priorities_become_weights(student, rng):
    """The weight of a sequence is its priority to the power of the exponent; other sequences keep theirs."""
    for exponent in (1.0, 0.6, 0.0):
        driven = updated_in(student, 2, 100, 16, 4, 2, 1, exponent)
        play(driven, rng, 24, 0.1)
        slots = list(driven.table())
        weights = np.where(driven.key >= 0, 1.0, 0.0)
        for some in (slots[2:5], slots[4:7]):
            priority = rng.uniform(0.05, 9, len(some))
            weights[some] = priority**exponent
            driven.replay.update_priorities(driven.key[some], priority)
        expect_close(driven.weights(), weights, "the weights")


@check("SequenceReplay.update_priorities")
def check_new_sequences_get_the_greatest_priority(student, rng):
    """New sequences get the greatest priority ever given, wherever it stood in its batch, also after smaller ones have been given since."""
    driven = updated_in(student, 1, 100, 16, 4, 2, 0, 0.5)
    for _ in range(10):
        driven.add([False])
    key = driven.table() and driven.key[driven.key >= 0]
    driven.replay.update_priorities(key[:3], np.array([2.25, 9.0, 6.25]))
    expect_close(driven.replay.read("max_priority"), 9.0, "max_priority")
    driven.replay.update_priorities(key[1:3], np.array([4.0, 1.44]))
    expect_close(driven.replay.read("max_priority"), 9.0, "max_priority")
    for _ in range(2):
        driven.add([False])
    weights = np.where(driven.table() and driven.key >= 0, 1.0, 0.0)
    weights[key[:3]] = 1.5, 2.0, 1.2
    weights[driven.key.argmax()] = 3
    expect_close(driven.weights(), weights, "the weights")


@check("SequenceReplay.update_priorities")
def check_evicted_sequences_are_left_alone(student, rng):
    """A priority for a sequence that was evicted since changes neither the sequence that has its slot now nor the greatest priority."""
    driven = updated_in(student, 1, 60, 6, 4, 2, 0)
    play(driven, rng, 14, 0)
    driven.table()
    old = driven.key.copy()
    play(driven, rng, 8, 0)
    driven.table()
    gone = old[~np.isin(old, driven.key)]
    kept = driven.key[driven.key >= 0].max()
    driven.replay.update_priorities(np.array([*gone, kept]), np.array([*rng.uniform(20, 50, len(gone)), 2.0]))
    expect_close(driven.replay.read("max_priority"), 2.0, "max_priority")
    weights = np.where(driven.key == kept, 2.0, np.where(driven.key >= 0, 1.0, 0.0))
    expect_close(driven.weights(), weights, "the weights")
    driven.replay.update_priorities(gone, np.full(len(gone), 100.0))
    expect_close(driven.weights(), weights, "the weights")


@check("SequenceReplay.update_priorities")
def check_no_sequence_is_lost_to_a_priority_of_zero(student, rng):
    """A sequence with the priority 0 keeps a small chance, the weight of the priority 10⁻⁶."""
    driven = updated_in(student, 1, 100, 8, 4, 2, 0, 0.5)
    for _ in range(10):
        driven.add([False])
    keys = driven.table() and driven.key[driven.key >= 0]
    driven.replay.update_priorities(keys, np.where(keys == keys[0], 1e-4, 0.0))
    weights = np.where(driven.key >= 0, np.where(driven.key == keys[0], 1e-2, 1e-3), 0.0)
    expect_close(100 * driven.weights(), 100 * weights, "the weights")


# The recurrent state


def numbers(value):
    """Return what a submission hands to a callback as an array of float64."""
    expect(type(value) in (torch.Tensor, np.ndarray), f"the network takes tensors, got {type(value).__name__}")
    return (value.numpy() if type(value) is torch.Tensor else value).astype(np.float64)


class Recurrence:
    """A small recurrent network of the grader's: h' = tanh(h M + x), q = (h' , 2 h' - y); the submission calls it back."""

    def __init__(self, rng, size=3):
        self.matrix = rng.normal(size=(size, size))
        self.size, self.calls = size, 0

    def __call__(self, inputs, state):
        self.calls += 1
        expect(type(inputs) is dict and set(inputs) == {"x", "y"}, "the network must get all inputs, by name")
        x, y, state = map(numbers, (inputs["x"], inputs["y"], state))
        batch = state.shape[0] if state.ndim == 2 else -1
        shapes = f"got {list(x.shape)} and {list(state.shape)}"
        expect(x.ndim == 3 and x.shape[1:] == (batch, self.size), f"the network takes inputs [T, B, ...] and a state [B, S], {shapes}")
        expect(y.shape == x.shape[:2], "all inputs must have the same T and B")
        values = []
        for t in range(len(x)):
            state = self.step(x[t], state)
            values.append(self.values(y[t], state))
        return [torch.as_tensor(np.stack(values)), torch.as_tensor(state)]

    def step(self, x, state):
        return np.tanh(state @ self.matrix + x)

    def values(self, y, state):
        return np.concatenate([state, 2 * state - y[:, None]], -1)


def recurrent_inputs(rng, network, length, batch):
    return {"x": normal(rng, length, batch, network.size, dtype=torch.float64), "y": normal(rng, length, batch, dtype=torch.float64)}


def unrolled(network, inputs, state, first):
    """Return q [T, B, A] and the last state [B, S], row by row and sequence by sequence."""
    length, batch = first.shape
    values, state = np.zeros((length, batch, 2 * network.size)), state.numpy().copy()
    for t, b in np.ndindex(length, batch):
        if first[t, b]:
            state[b] = 0
        state[b] = network.step(inputs["x"][t, b].numpy(), state[b])
        values[t, b] = network.values(inputs["y"][t, b : b + 1].numpy(), state[b : b + 1])[0]
    return values, state


def check_unrolled(student, rng, length, batch, first):
    network = Recurrence(rng)
    inputs, state = recurrent_inputs(rng, network, length, batch), normal(rng, batch, network.size, dtype=torch.float64)
    result = student.unroll(network, inputs, state, torch.as_tensor(first))
    expect_count(result, 2)
    values, last = unrolled(network, inputs, state, first)
    expect_close(result[0], values, "the action values")
    expect_close(result[1], last, "the final state")


@check("unroll")
def check_unroll_inside_an_episode(student, rng):
    """Inside one episode the state is carried from row to row, from the given one on, and the last one is returned."""
    for length, batch in ((1, 4), (6, 3), (9, 1)):
        check_unrolled(student, rng, length, batch, np.zeros((length, batch), bool))


@check("unroll", points=2)
def check_unroll_forgets_where_an_episode_starts(student, rng):
    """The state is zero before the first row of an episode, in that sequence only, also at row 0 and at the last row."""
    for length, batch in ((1, 5), (7, 4), (12, 3)):
        first = rng.random((length, batch)) < 0.25
        first[0, 0] = first[-1, -1] = True
        check_unrolled(student, rng, length, batch, first)


def given_inputs(rng, length, batch):
    previous = {"previous_action": torch.zeros(length, batch, dtype=torch.int64), "previous_reward": normal(rng, length, batch)}
    return {"observation": normal(rng, length, batch, 3)} | previous


@check("unroll")
def check_gradients_flow_through_time(student, rng):
    """Gradients flow back through the states, from every row to the first one, except where an episode starts in that very sequence."""
    sizes, seed = {"memory_size": 4, "head_size": 4}, int(rng.integers(2**31))
    inputs, state = given_inputs(rng, 5, 3), normal(rng, 3, 8)
    first = torch.zeros(5, 3, dtype=torch.bool)
    first[1, 0] = first[3, 1] = True
    network = RecurrentNetwork([3], 2, R2D2Config(**sizes), torch.Generator().manual_seed(seed))
    leaf = state.clone().requires_grad_()
    carried, total = leaf, 0
    for t in range(5):
        carried = torch.where(first[t, :, None], 0, carried)
        q, carried = network({name: column[t : t + 1] for name, column in inputs.items()}, carried)
        total = total + q.sum()
    (expected,) = torch.autograd.grad(total + carried.sum(), leaf)
    theirs = student.create("RecurrentNetwork", [3], 2, student.create("R2D2Config", **sizes), torch.Generator().manual_seed(seed))
    # The gradients by the parameters tell who cuts off the state from who cuts off everything.
    _, (by_network, gradient) = student.gradient("unroll", theirs, inputs, state, first, wrt=[0, 2])
    expect_count(by_network, len(list(network.parameters())), "the gradients by the parameters")
    expect(gradient is not None, "no gradient flows from the action values back to the state")
    expect_close(gradient, expected, "the gradient by the state before row 0")


@check("burn_in")
def check_burn_in_refreshes_the_state(student, rng):
    """The state after the burn-in is that of the network after all its rows, from the stored state."""
    for length, batch in ((1, 3), (5, 4)):
        network = Recurrence(rng)
        inputs, state = recurrent_inputs(rng, network, length, batch), normal(rng, batch, network.size, dtype=torch.float64)
        _, expected = unrolled(network, inputs, state, np.zeros((length, batch), bool))
        expect_close(student.burn_in(network, inputs, state, torch.ones(batch, dtype=torch.bool)), expected, "the state")


@check("burn_in")
def check_burn_in_spares_the_start_of_an_episode(student, rng):
    """A sequence that starts its episode keeps the state it has: what stands before it is padding."""
    network = Recurrence(rng)
    inputs, state = recurrent_inputs(rng, network, 4, 5), normal(rng, 5, network.size, dtype=torch.float64)
    warm = np.array([True, False, True, False, False])
    _, refreshed = unrolled(network, inputs, state, np.zeros((4, 5), bool))
    expect_close(student.burn_in(network, inputs, state, torch.as_tensor(warm)), np.where(warm[:, None], refreshed, state), "the state")


@check("burn_in")
def check_no_gradient_flows_through_the_burn_in(student, rng):
    """The states after the burn-in are constants: no gradient flows into the network's parameters, nor into the stored states."""
    config = student.create("R2D2Config", memory_size=4, head_size=4)
    network = student.create("RecurrentNetwork", [3], 2, config, torch.Generator().manual_seed(int(rng.integers(2**31))))
    state = normal(rng, 3, 8)
    warm = torch.tensor([True, False, True])
    result, gradients = student.gradient("burn_in", network, given_inputs(rng, 5, 3), state, warm, wrt=[0, 2])
    expect_close(expect_numbers(result, (3, 8), "the state")[1], state[1], "the state of a sequence that starts its episode")
    by_network, by_state = gradients
    expect_count(by_network, len(by_network), "the gradients")
    for gradient in by_network:
        expect(gradient is None or not torch.as_tensor(gradient).any(), "a gradient flows through the burn-in")
    expect(by_state is None or not torch.as_tensor(by_state).any(), "a gradient flows into the stored states")


@check("q_discrepancy")
def check_discrepancy_follows_its_definition(student, rng):
    """ΔQ is the distance of the action values of each step, over the absolute value of the sequence's greatest reference value."""
    for length, batch, actions in ((1, 2, 3), (6, 4, 2), (3, 5, 5)):
        replayed, reference = normal(rng, length, batch, actions), normal(rng, length, batch, actions)
        expected = np.zeros((length, batch))
        for t, b in np.ndindex(length, batch):
            greatest = max(reference[s, b, a].item() for s in range(length) for a in range(actions))
            distance = sum((replayed[t, b, a].item() - reference[t, b, a].item()) ** 2 for a in range(actions)) ** 0.5
            expected[t, b] = distance / abs(greatest)
        expect_close(student.q_discrepancy(replayed, reference), expected, "ΔQ", relative=1e-3)


@check("q_discrepancy")
def check_discrepancy_of_equal_and_of_negative_values(student, rng):
    """ΔQ is 0 for equal values, does not depend on their scale, and is positive where all values are negative."""
    reference = -uniform(rng, 4, 3, 2, low=1, high=5)
    expect_close(student.q_discrepancy(reference, reference), np.zeros((4, 3)), "ΔQ of equal values")
    expected = (8**0.5 / reference.amax((0, 2)).abs()).expand(4, 3)
    for scale in (1.0, 100.0):
        expect_close(student.q_discrepancy(scale * (reference + 2), scale * reference), expected, "ΔQ")


# Many actors


@check("actor_epsilons")
def check_epsilons_follow_their_definition(student, rng):
    """ε_i is ε to the power of 1 + α i / (N - 1)."""
    for count, base, exponent in ((8, 0.4, 7.0), (5, 0.3, 2.0), (2, 0.9, 1.0)):
        expected = [base ** (1 + exponent * i / (count - 1)) for i in range(count)]
        expect_close(student.actor_epsilons(count, base, exponent), np.array(expected), "ε", absolute=1e-7)


@check("actor_epsilons")
def check_epsilons_at_the_ends(student, rng):
    """The first actor explores with ε, the last one with ε^(1 + α), and a single one with ε."""
    for count in (2, 256):
        epsilon = expect_numbers(student.actor_epsilons(count, 0.4, 7.0), (count,), "ε")
        expect_close(epsilon[[0, -1]], np.array([0.4, 0.4**8]), "ε of the first and the last actor", absolute=1e-7)
    expect_close(student.actor_epsilons(1, 0.4, 7.0), np.array([0.4]), "ε of a single actor")


TOPIC = Topic(
    name="r2d2",
    title="R2D2: recurrent replay distributed DQN",
    exercises=(
        "dueling",
        "n_step_double_q_targets",
        "transformed_double_q_targets",
        "sequence_priority",
        "importance_weights",
        "SequenceReplay.add",
        "SequenceReplay.sample",
        "SequenceReplay.update_priorities",
        "unroll",
        "burn_in",
        "q_discrepancy",
        "actor_epsilons",
    ),
    checks=checks_of(__name__),
    trainings=(
        learns(
            "two rooms",
            "npfl139/TwoRooms-v0",
            CONFIGS["npfl139/TwoRooms-v0"],
            "The agent answers in a second room by a cue that it saw 32 steps before, although it replays sequences of 20.",
            points=3,
            episodes=128,
            seconds=300,
            unreached=("n_step_double_q_targets",),
        ),
    ),
)
