"""The hidden checks of `ngu`."""

import math
from functools import partial

import numpy as np
import torch

from grader.contract.expect import expect, expect_close, expect_count, expect_error, expect_numbers, normal, uniform
from grader.contract.naive import h, h_inverse
from grader.contract.spec import Attempt, Topic, Training, check, checks_of
from grader.contract.student import Student
from grader.topics.ngu import lent
from npfl139.envs.disco import DiscoMazeVector
from npfl139.seeding import derived_seed, numpy_stream
from solutions.ngu import episodic_bonus, epsilon_greedy, inverse_kernel

F64 = torch.float64


# Controllable states


def linear(rng, inputs, outputs):
    """Return a linear function as a callback, and its matrix."""
    matrix = normal(rng, inputs, outputs, dtype=F64)
    return (lambda x: x.double() @ matrix), matrix.numpy()


def cross_entropy(embedded, embedded_next, matrix, action, rows):
    """Return the mean over the rows of -log softmax([f(x), f(x')] M)[a], by loops."""
    total = 0.0
    for n in rows:
        logits = np.concatenate([embedded[n], embedded_next[n]]) @ matrix
        total += math.log(sum(math.exp(logit - logits.max()) for logit in logits)) + logits.max() - logits[action[n]]
    return total / len(rows)


@check("inverse_dynamics_loss")
def check_loss_is_the_mean_cross_entropy_of_the_actions(student, rng):
    """The loss is the mean of -log p(a_t), where p comes from the embedding of x_t followed by that of x_{t+1}."""
    for count, size, actions in ((1, 3, 2), (7, 2, 5)):
        embed, embedding = linear(rng, size, 4)
        classify, matrix = linear(rng, 8, actions)
        x, x_next, action = normal(rng, count, size), normal(rng, count, size), torch.as_tensor(rng.integers(actions, size=count))
        expected = cross_entropy(x.numpy() @ embedding, x_next.numpy() @ embedding, matrix, action, range(count))
        loss = student.inverse_dynamics_loss(embed, classify, x, x_next, action, torch.ones(count, dtype=torch.bool))
        expect_close(loss, expected, "the loss")


@check("inverse_dynamics_loss")
def check_loss_leaves_out_what_the_action_did_not_cause(student, rng):
    """Rows that are not valid count neither in the sum nor in the number that it is divided by."""
    embed, embedding = linear(rng, 3, 2)
    classify, matrix = linear(rng, 4, 3)
    x, x_next, action = normal(rng, 9, 3), normal(rng, 9, 3), torch.as_tensor(rng.integers(3, size=9))
    valid = torch.tensor([True, False, True, True, False, False, True, False, False])
    x_next[~valid] *= 30
    expected = cross_entropy(x.numpy() @ embedding, x_next.numpy() @ embedding, matrix, action, np.flatnonzero(valid))
    expect_close(student.inverse_dynamics_loss(embed, classify, x, x_next, action, valid), expected, "the loss")


@check("inverse_dynamics_loss")
def check_loss_teaches_both_networks(student, rng):
    """The gradient flows into the classifier, and through the embeddings of both observations into f."""
    embed, classify = student.create("torch.nn.Linear", 3, 2), student.create("torch.nn.Linear", 4, 3)
    x, x_next, action = normal(rng, 6, 3), normal(rng, 6, 3), torch.as_tensor(rng.integers(3, size=6))
    valid = torch.tensor([True, True, False, True, True, True])
    parameters = [network.read(name) for network in (embed, classify) for name in ("weight", "bias")]
    w, b, v, c = (parameter.detach().double().requires_grad_() for parameter in parameters)
    logits = torch.cat([x.double() @ w.T + b, x_next.double() @ w.T + b], 1) @ v.T + c
    loss = -sum(logits[n].log_softmax(0)[action[n]] for n in range(6) if valid[n]) / 5
    expected = torch.autograd.grad(loss, (w, b, v, c))
    _, gradients = student.gradient("inverse_dynamics_loss", embed, classify, x, x_next, action, valid, wrt=[0, 1])
    names = ("the embedding's weights", "the embedding's biases", "the classifier's weights", "the classifier's biases")
    for name, gradient, right in zip(names, [*gradients[0], *gradients[1]], expected, strict=True):
        expect(gradient is not None, f"no gradient flows into {name}")
        expect_close(gradient, right, f"the gradient by {name}", relative=1e-3)


# Novelty within the episode


@check("inverse_kernel")
def check_kernel_follows_its_definition(student, rng):
    """K is ε over the relative squared distance beyond ξ plus ε, for each neighbour by itself."""
    for shape, epsilon, cluster in (((5,), 0.01, 0.008), ((3, 4), 0.5, 0.3), ((2, 1), 1e-4, 0.0)):
        squared, mean = uniform(rng, *shape, low=0.5, high=3), torch.tensor(rng.uniform(0.5, 2.0))
        expected = epsilon / (np.maximum(squared.double().numpy() / mean.item() - cluster, 0) + epsilon)
        expect_close(student.inverse_kernel(squared, mean, epsilon, cluster), expected, "K", relative=1e-3)


@check("inverse_kernel")
def check_kernel_ignores_the_scale_of_the_embedding(student, rng):
    """Ten times larger squared distances with a ten times larger mean give the same similarities."""
    squared, mean = uniform(rng, 6, low=0.1, high=3), torch.tensor(1.3)
    expected = 0.1 / ((squared.double() / mean.double() - 0.2).clamp(min=0) + 0.1)
    for scale in (0.1, 10.0):
        expect_close(student.inverse_kernel(scale * squared, scale * mean, 0.1, 0.2), expected, "K", relative=1e-3)


@check("inverse_kernel")
def check_kernel_at_its_ends(student, rng):
    """K is 1 up to the distance ξ and where all states are one, and 0 for a neighbour that is infinitely far."""
    squared, mean = torch.tensor([0.0, 0.9, 1.0, math.inf, 2.0]), torch.tensor(2.0)
    expect_close(student.inverse_kernel(squared, mean, 0.25, 0.5), np.array([1, 1, 1, 0, 0.25 / 0.75]), "K")
    expect_close(student.inverse_kernel(torch.zeros(2, 3), torch.tensor(0.0), 0.01, 0.1), np.ones((2, 3)), "K where d_m² is 0")


@check("episodic_bonus")
def check_bonus_follows_its_definition(student, rng):
    """r is one over the root of the summed similarities, plus c."""
    for shape, pseudo_count in (((4,), 0.5), ((3, 5), 0.2), ((2, 3, 1), 1e-3)):
        similarity = uniform(rng, *shape)
        expected = np.zeros(shape[:-1])
        for index in np.ndindex(*shape[:-1]):
            expected[index] = 1 / (math.sqrt(sum(similarity[index].tolist())) + pseudo_count)
        expect_close(student.episodic_bonus(similarity, pseudo_count, 1e6), expected, "r", relative=1e-3)


@check("episodic_bonus")
def check_bonus_of_a_state_like_no_other(student, rng):
    """Where nothing is similar the reward is 1 / c."""
    expect_close(student.episodic_bonus(torch.zeros(3, 4), 0.25, 8.0), np.full(3, 4.0), "r")


@check("episodic_bonus")
def check_bonus_ends_above_the_largest_similarity(student, rng):
    """The reward is 0 where √ΣK + c exceeds s_m, and only there: at s_m it is still 1 / s_m."""
    similar = torch.tensor([4.0, 4.1, 3.9, 9.0], dtype=F64)  # c decides about the second one, not about the last
    similarity = similar[:, None].expand(4, 16) / 16  # whose sum is exact for 4
    expected = np.array([1 / 2.5, 0, 1 / (math.sqrt(3.9) + 0.5), 0])
    expect_close(student.episodic_bonus(similarity, 0.5, 2.5), expected, "r")


class Memory:
    """The episodic memories of B rows as the definition has them: a list of embeddings each, searched in full."""

    def __init__(self, rows, capacity, neighbours, kernel_epsilon, cluster_distance, pseudo_count, max_similarity):
        self.capacity, self.neighbours = capacity, neighbours
        self.kernel_epsilon, self.cluster_distance = kernel_epsilon, cluster_distance
        self.pseudo_count, self.max_similarity = pseudo_count, max_similarity
        self.episodes, self.distances = [[] for _ in range(rows)], []

    def bonus(self, embedding):
        embedding = embedding.double().numpy()
        nearest = []
        for episode, x in zip(self.episodes, embedding, strict=True):
            squared = sorted(float(((x - y) ** 2).sum()) for y in episode[-self.capacity :])
            nearest.append(squared[: self.neighbours])
            self.distances += nearest[-1]
        rewards = [self.reward(squared, np.mean(self.distances)) if squared else 0.0 for squared in nearest]
        for episode, x in zip(self.episodes, embedding, strict=True):
            episode.append(x)
        return np.array(rewards)

    def reward(self, squared, mean):
        kernels = [self.kernel_epsilon / (max(d / mean - self.cluster_distance, 0) + self.kernel_epsilon) for d in squared]
        similarity = math.sqrt(sum(kernels)) + self.pseudo_count
        return 0.0 if similarity > self.max_similarity else 1 / similarity

    def reset(self, rows):
        self.episodes = [[] if reset else episode for reset, episode in zip(rows, self.episodes, strict=True)]


class Driven:
    """A submission's memory and the definition's, told the same; episodes end by the grader's hand, whatever `reset` does."""

    def __init__(self, student, rows, size, capacity, neighbours, **settings):
        settings = {"kernel_epsilon": 0.1, "cluster_distance": 0.02, "pseudo_count": 0.01, "max_similarity": 8.0} | settings
        self.memory, self.lent = student.create("EpisodicMemory", rows, size, capacity, neighbours, **settings), student.define(lent)
        self.model = Memory(rows, capacity, neighbours, **settings)

    def see(self, embedding, what="the reward"):
        expect_close(self.memory.bonus(embedding), self.model.bonus(embedding), what, relative=1e-3)

    def forget(self, rows):
        self.lent.forget(self.memory, torch.as_tensor(rows))
        self.model.reset(rows)


@check("EpisodicMemory.bonus", stands_on=(inverse_kernel, episodic_bonus))
def check_a_state_with_nothing_to_compare_with_earns_nothing(student, rng):
    """The first state of an episode earns 0, and the second one is compared with the first alone."""
    driven = Driven(student, 3, 2, 10, 4)
    for number in ("first", "second"):
        driven.see(normal(rng, 3, 2), f"the reward of the {number} state")


@check("EpisodicMemory.bonus", points=2, stands_on=(inverse_kernel, episodic_bonus))
def check_bonus_compares_with_the_nearest_states_of_the_episode(student, rng):
    """A state is compared with the k nearest ones that its own row has stored before it; what it is itself is stored afterwards."""
    for rows, size, neighbours in ((1, 3, 2), (4, 2, 3), (3, 1, 1)):
        driven = Driven(student, rows, size, 50, neighbours)
        spread = 10.0 ** torch.arange(rows)[:, None]  # the rows' episodes are of very different extent
        for _ in range(9):
            driven.see(spread * normal(rng, rows, size))


@check("EpisodicMemory.bonus", stands_on=(inverse_kernel, episodic_bonus))
def check_mean_distance_includes_the_newest_and_all_earlier_ones(student, rng):
    """Distances are divided by the mean over all rows, steps and episodes, which already includes those of this step."""
    driven = Driven(student, 3, 2, 50, 3)
    for step in range(14):
        if step in (5, 9):
            driven.forget(np.array([step == 5, True, step == 9]))
        driven.see((1 + step) * normal(rng, 3, 2))


@check("EpisodicMemory.bonus", stands_on=(inverse_kernel, episodic_bonus))
def check_the_oldest_states_make_room(student, rng):
    """A full memory forgets the oldest state of the episode for each new one, and nothing else."""
    driven = Driven(student, 2, 2, 4, 3)
    for step in range(15):
        driven.see(normal(rng, 2, 2) + 0.5 * step)
        if step == 6:
            driven.forget(np.array([False, True]))


@check("EpisodicMemory.bonus", stands_on=(inverse_kernel, episodic_bonus))
def check_known_states_earn_nothing(student, rng):
    """A state that was visited often enough for the similarity to exceed s_m earns 0."""
    driven = Driven(student, 2, 2, 100, 70, max_similarity=3.0)
    here = normal(rng, 2, 2)
    for _ in range(12):
        driven.see(here + 0.001 * normal(rng, 2, 2))
        driven.see(here + 2 * normal(rng, 2, 2))


@check("EpisodicMemory.reset")
def check_reset_forgets_the_ended_episodes_only(student, rng):
    """After a reset the rows where it holds start anew, and the others remember all they have seen."""
    rows, capacity = 4, 5
    memory, episodes = student.create("EpisodicMemory", rows, 2, capacity, 3), [[] for _ in range(rows)]
    for step in range(12):
        if step in (0, 3, 4, 8, 11):
            ended = np.zeros(rows, bool) if step in (0, 11) else rng.permutation(rows) < 2
            memory.reset(torch.as_tensor(ended))
            episodes = [[] if end else episode for end, episode in zip(ended, episodes, strict=True)]
        embedding = normal(rng, rows, 2)
        memory.store(torch.ones(rows, dtype=torch.bool), embedding)
        for episode, x in zip(episodes, embedding.tolist(), strict=True):
            episode.append(x)
        expect_close(memory.read("count"), np.array([len(episode) for episode in episodes]), "the count of each row")
        held = expect_numbers(memory.read("embeddings"), (rows, capacity, 2), "the embeddings")
        for states, episode in zip(held.tolist(), episodes, strict=True):
            remembered = sorted(states[: len(episode)])  # in any order
            expect_close(np.array(remembered), np.array(sorted(episode[-capacity:])), "what a row remembers")


@check("EpisodicMemory.reset")
def check_reset_keeps_the_mean_distance(student, rng):
    """The mean squared distance outlives the episodes, even when all rows are reset."""
    lending, memory, met = student.define(lent), student.create("EpisodicMemory", 2, 3, 20, 2), []
    for scale in (1.0, 5.0, 0.2):
        memory.reset(torch.ones(2, dtype=torch.bool))
        memory.store(torch.ones(2, dtype=torch.bool), normal(rng, 2, 3))
        expect_close(memory.read("count"), np.ones(2), "the count of each row")
        distances = scale * uniform(rng, 4)
        lending.meet(memory, distances)
        met += distances.tolist()
        expect_close(lending.usual(memory), np.array([np.mean(met)]), "the mean squared distance")


# Novelty over the whole training


@check("prediction_error")
def check_error_is_the_squared_distance(student, rng):
    """The error of a state is the sum over its components of the squared differences, not their mean, and not that of a batch."""
    for count, size in ((1, 4), (6, 3), (2, 1)):
        prediction, target = normal(rng, count, size), normal(rng, count, size)
        expected = [
            sum((p - t) ** 2 for p, t in zip(*rows, strict=True)) for rows in zip(prediction.tolist(), target.tolist(), strict=True)
        ]
        expect_close(student.prediction_error(prediction, target), np.array(expected), "the error")


@check("prediction_error")
def check_only_the_prediction_learns(student, rng):
    """The gradient by the prediction is twice the difference; none flows into the target, which must stay random."""
    prediction, target = normal(rng, 5, 3), normal(rng, 5, 3)
    _, (by_prediction, by_target) = student.gradient("prediction_error", prediction, target, wrt=[0, 1])
    expect(by_prediction is not None, "no gradient flows into the prediction")
    expect_close(by_prediction, 2 * (prediction - target), "the gradient by the prediction")
    expect(by_target is None or not torch.as_tensor(by_target).any(), "a gradient flows into the target")


@check("life_long_modulator")
def check_modulator_is_a_standard_score_around_one(student, rng):
    """α is 1 for an error at the mean, and one more for each standard deviation above it."""
    for shape in ((), (5,), (2, 3)):
        error, mean, std = 3 * normal(rng, *shape), rng.normal(), rng.uniform(0.3, 0.7)
        expected = 1 + (error.double() - mean) / std
        expect_close(student.life_long_modulator(error, torch.tensor(mean), torch.tensor(std)), expected, "α")


@check("life_long_modulator")
def check_modulator_without_a_spread(student, rng):
    """While all errors have been the same, α is 1."""
    error = uniform(rng, 4)
    expect_close(student.life_long_modulator(error, torch.tensor(0.3), torch.tensor(0.0)), np.ones(4), "α")
    expect_close(student.life_long_modulator(torch.full((2,), 0.3), torch.tensor(0.3), torch.tensor(0.0)), np.ones(2), "α")


@check("intrinsic_reward")
def check_intrinsic_reward_is_modulated_within_limits(student, rng):
    """The episodic reward is multiplied by α, which is first limited to between 1 and L."""
    for maximum in (5.0, 2.0):
        episodic, modulator = uniform(rng, 8, low=0.5, high=4), torch.tensor([-3.0, 0.0, 0.7, 1.0, 1.5, 1.9, 4.0, 30.0])
        expected = [r * min(max(a, 1.0), maximum) for r, a in zip(episodic.tolist(), modulator.tolist(), strict=True)]
        expect_close(student.intrinsic_reward(episodic, modulator, maximum), np.array(expected), "r^i")


# A family of policies


def logistic(x):
    return 1 / (1 + math.exp(-x))


@check("exploration_weights")
def check_weights_follow_their_definition(student, rng):
    """Between the ends the weights follow the logistic function."""
    for count, maximum in ((32, 0.3), (5, 2.0), (4, 0.7), (3, 1.0)):
        inner = [maximum * logistic(10 * (2 * i - (count - 2)) / (count - 2)) for i in range(1, count - 1)]
        expect_close(student.exploration_weights(count, maximum), np.array([0.0, *inner, maximum]), "β", relative=1e-6, absolute=1e-9)


@check("exploration_weights")
def check_weights_at_the_ends(student, rng):
    """The first policy is not curious at all, exactly, and the last one is by β; a single policy is curious."""
    for count in (2, 3, 8, 32):
        weights = expect_numbers(student.exploration_weights(count, 0.3), (count,), "β")
        expect(weights[0] == 0, "the first weight must be 0, exactly: that policy is evaluated")
        expect_close(weights[-1], 0.3, "the last weight", relative=1e-6)
    expect_close(student.exploration_weights(1, 0.3), np.array([0.3]), "the weight of a single policy")


@check("discounts")
def check_discounts_are_spaced_by_their_horizons(student, rng):
    """The logarithm of 1 - γ falls in equal steps from that of γ_max to that of γ_min."""
    for count, longest, shortest in ((32, 0.997, 0.99), (2, 0.9, 0.5), (5, 0.99, 0.2)):
        logs = [((count - 1 - i) * math.log(1 - longest) + i * math.log(1 - shortest)) / (count - 1) for i in range(count)]
        horizon = 1 / (1 - expect_numbers(student.discounts(count, longest, shortest), (count,), "γ"))
        expect(np.isfinite(horizon).all(), "a discount is 1")
        expect_close(horizon, np.exp(-np.array(logs)), "1 / (1 - γ)", relative=1e-3)


@check("discounts")
def check_discounts_at_the_ends(student, rng):
    """Policy 0 looks ahead the furthest; a single policy has γ_max."""
    gamma = expect_numbers(student.discounts(8, 0.997, 0.9), (8,), "γ")
    expect_close(gamma[[0, -1]], np.array([0.997, 0.9]), "γ of the first and the last policy", relative=1e-6)
    expect_close(student.discounts(1, 0.95, 0.5), np.array([0.95]), "γ of a single policy")


@check("epsilon_greedy")
def check_probabilities_of_the_epsilon_greedy_policy(student, rng):
    """Every action has ε / A, and the greedy one 1 - ε more, so that they sum to 1."""
    for shape in ((4,), (3, 2), (2, 5, 3)):
        q, epsilon = normal(rng, *shape), uniform(rng, *shape[:-1])
        expected = np.zeros(shape)
        for index in np.ndindex(*shape[:-1]):
            expected[index] = epsilon[index].item() / shape[-1]
            expected[(*index, int(q[index].argmax()))] += 1 - epsilon[index].item()
        expect_close(student.epsilon_greedy(q, epsilon), expected, "the probabilities")


@check("epsilon_greedy")
def check_of_equal_values_the_first_is_greedy(student, rng):
    """Of several greatest values the first one is greedy, and one ε may hold for all rows."""
    q = torch.tensor([[2.0, 5.0, 5.0, 1.0], [7.0, 7.0, 7.0, 7.0], [-3.0, -1.0, -1.0, -1.0]])
    expected = np.full((3, 4), 0.05)
    expected[[0, 1, 2], [1, 0, 1]] += 0.8
    expect_close(student.epsilon_greedy(q, torch.tensor(0.2)), expected, "the probabilities")
    expect_close(student.epsilon_greedy(q, torch.tensor(0.0)), (expected > 0.5).astype(float), "the probabilities for ε = 0")


@check("conditioned")
def check_the_network_is_told_its_policy_and_what_happened(student, rng):
    """The parts are, in this order: the policy, the previous action, the previous extrinsic and the previous intrinsic reward."""
    for length, batch, arms, actions in ((1, 3, 2, 4), (5, 2, 4, 3)):
        arm, action = (
            torch.as_tensor(rng.integers(arms, size=(length, batch))),
            torch.as_tensor(rng.integers(actions, size=(length, batch))),
        )
        extrinsic, intrinsic = 3 * normal(rng, length, batch), normal(rng, length, batch)
        told = student.conditioned(arm, action, extrinsic, intrinsic, torch.zeros(length, batch, dtype=torch.bool), arms, actions)
        expected = np.zeros((length, batch, arms + actions + 2))
        for t, b in np.ndindex(length, batch):
            expected[t, b, arm[t, b]] = expected[t, b, arms + action[t, b]] = 1
            expected[t, b, -2:] = extrinsic[t, b].item(), intrinsic[t, b].item()
        expect_close(told, expected, "what the network is told")


@check("conditioned")
def check_nothing_of_the_last_episode_is_told(student, rng):
    """Where an episode starts, only the policy is told, whatever stands in the other arguments."""
    first = torch.tensor([[True, False, True], [False, True, False]])
    arm = torch.as_tensor(rng.integers(3, size=(2, 3)))
    action = torch.as_tensor(rng.integers(2, size=(2, 3)))
    action[0, 0] = -1
    extrinsic, intrinsic = 1e3 * normal(rng, 2, 3), 1e3 * normal(rng, 2, 3)
    extrinsic[0, 2] = math.nan
    told = expect_numbers(
        student.conditioned(arm, action, extrinsic, intrinsic, first, 3, 2), (2, 3, 7), "what the network is told", finite=False
    )
    expected = np.zeros((2, 3, 7))
    for t, b in np.ndindex(2, 3):
        expected[t, b, arm[t, b]] = 1
        if not first[t, b]:
            expected[t, b, 3 + action[t, b]] = 1
            expected[t, b, 5:] = extrinsic[t, b].item(), intrinsic[t, b].item()
    expect_close(told, expected, "what the network is told", relative=1e-5)


# Targets


EPSILON, LAMBDA = 1e-2, 0.9


def sequences(rng, length, batch, actions, ending=0.25):
    """Return the arguments of `ngu_targets` up to `same_episode`, as a dictionary. The networks often disagree on the greedy action."""
    ended = rng.random((length, batch)) < ending
    terminated = ended & (rng.random((length, batch)) < 0.5)
    gamma = rng.uniform(0.5, 0.95, batch)
    return {
        "q_online": normal(rng, length + 1, batch, actions),
        "q_target": normal(rng, length + 1, batch, actions),
        "action": torch.as_tensor(rng.integers(actions, size=(length, batch))),
        "behaviour": uniform(rng, length, batch, low=0.2, high=1.0),
        "extrinsic": 2 * normal(rng, length, batch),
        "intrinsic": uniform(rng, length, batch, high=3.0),
        "weight": uniform(rng, batch, low=0.2, high=1.5),
        "discount": torch.as_tensor(np.where(terminated, 0, gamma), dtype=torch.float32),
        "same_episode": torch.as_tensor(~ended).float(),
    }


def targets(arguments, target_epsilon, trace_lambda=LAMBDA, epsilon=EPSILON):
    """Return the targets as h of the double sum over steps, in float64."""
    a = {name: tensor.double().numpy() if tensor.is_floating_point() else tensor.numpy() for name, tensor in arguments.items()}
    (length, batch), actions = a["action"].shape, a["q_online"].shape[-1]
    policy = np.full(a["q_online"].shape, target_epsilon / actions)
    for t, b in np.ndindex(length + 1, batch):
        policy[t, b, a["q_online"][t, b].argmax()] += 1 - target_epsilon
    value = h_inverse(a["q_target"], epsilon)
    expected = (policy * value).sum(-1)
    result = np.zeros((length, batch))
    for start, b in np.ndindex(length, batch):
        factor, total = 1.0, value[start, b, a["action"][start, b]]
        for t in range(start, length):
            taken = a["action"][t, b]
            if t > start:
                trace = trace_lambda * min(1.0, policy[t, b, taken] / a["behaviour"][t, b])
                factor *= a["discount"][t - 1, b] * a["same_episode"][t - 1, b] * trace
            reward = a["extrinsic"][t, b] + a["weight"][b] * a["intrinsic"][t, b]
            total += factor * (reward + a["discount"][t, b] * expected[t + 1, b] - value[t, b, taken])
        result[start, b] = h(total, epsilon)
    return result


def check_targets(student, arguments, target_epsilon):
    result = student.ngu_targets(**arguments, trace_lambda=LAMBDA, target_epsilon=target_epsilon, epsilon=EPSILON)
    expect_close(result, targets(arguments, target_epsilon), "the targets", relative=1e-3, absolute=1e-4)


@check("ngu_targets", points=2, stands_on=(epsilon_greedy,))
def check_targets_follow_their_definition(student, rng):
    """The targets are the transformed Retrace targets of r^e + β_j r^i, for the ε-greedy policy of the online values."""
    for length, batch, actions, target_epsilon in ((1, 3, 2, 0.0), (6, 4, 3, 0.3), (5, 1, 4, 0.1)):
        check_targets(student, sequences(rng, length, batch, actions), target_epsilon)


@check("ngu_targets", stands_on=(epsilon_greedy,))
def check_the_policy_is_that_of_the_online_network(student, rng):
    """The online values say which action is greedy, the target values what it is worth."""
    arguments = sequences(rng, 4, 3, 3, ending=0.0)
    arguments["q_target"] = -3 * arguments["q_online"]
    check_targets(student, arguments, 0.0)


@check("ngu_targets", stands_on=(epsilon_greedy,))
def check_traces_use_the_stored_probabilities(student, rng):
    """The traces are cut by the probabilities with which the actor acted, whatever the values are now."""
    arguments = sequences(rng, 7, 3, 2, ending=0.0)
    arguments["action"] = arguments["q_online"][:-1].argmax(-1)  # so that no trace is 0
    arguments["behaviour"] = uniform(rng, 7, 3, low=0.9, high=1.0)
    check_targets(student, arguments, 0.5)


@check("ngu_targets", stands_on=(epsilon_greedy,))
def check_each_sequence_is_learnt_for_its_own_policy(student, rng):
    """Every sequence has its own β_j and γ_j, and for β_j = 0 the intrinsic rewards do not matter."""
    arguments = sequences(rng, 4, 5, 3)
    arguments["weight"] = torch.tensor([0.0, 0.3, 0.0, 2.0, 0.01])
    arguments["intrinsic"] = 40 * arguments["intrinsic"]
    check_targets(student, arguments, 0.2)


@check("ngu_targets", stands_on=(epsilon_greedy,))
def check_targets_are_constants(student, rng):
    """No gradient flows through the targets, neither into the online nor into the target values."""
    arguments = sequences(rng, 3, 2, 3)
    order = [*arguments.values(), LAMBDA, 0.2, EPSILON]
    value, gradients = student.gradient("ngu_targets", *order, wrt=[0, 1])
    expect_close(value, targets(arguments, 0.2), "the targets", relative=1e-3, absolute=1e-4)
    expect_count(gradients, 2, "the gradients")
    for name, gradient in zip(("online", "target"), gradients, strict=True):
        expect(gradient is None or not torch.as_tensor(gradient).any(), f"a gradient flows into the {name} values")


@check("ngu_targets", stands_on=(epsilon_greedy,))
def check_targets_refuse_other_shapes(student, rng):
    """Arguments whose shapes do not fit one another raise a ValueError."""
    options = {"trace_lambda": LAMBDA, "target_epsilon": 0.1, "epsilon": EPSILON}

    def refused(arguments, what):
        expect_error(partial(student.ngu_targets, **arguments, **options), "ValueError", what)

    arguments = sequences(rng, 3, 2, 2)
    student.ngu_targets(**arguments, **options)
    for name in ("q_online", "q_target", "behaviour", "extrinsic", "intrinsic", "discount", "same_episode"):
        for other in (arguments[name][:-1], arguments[name][:, :1]):
            refused(arguments | {name: other}, f"another shape of {name}")
    refused(arguments | {"weight": arguments["weight"][:1]}, "another shape of weight")
    for name in ("q_online", "q_target"):
        refused(arguments | {name: arguments[name][..., :1]}, f"another number of actions in {name}")
    for part in (slice(None, -1), slice(1)):
        few = {name: arguments[name][part] for name in ("q_online", "q_target")}
        refused(arguments | few, "values of as many states as there are steps, or fewer,")


# The bonus of a learnt embedding

ROWS, EPISODE, SHOWN, JUDGED, UPDATES = 32, 40, 200, 80, 300  # episodes of 40 steps; random steps in all rows to learn from, and to judge


def new_cells_are_novel(student: Student, seed: int) -> Attempt:
    """Teach an embedding by random steps in a Disco Maze, and let the memory judge others; the score is how well it tells new cells.

    The score is the probability that a step into a cell that its episode had not seen earns more than one back into a known cell: 0.5 by
    chance. The walls change their colours in every step, so that by its picture every state is new. The numbers of a picture come in an
    order that the seed draws: an exercise that puts another function in the place of the embedding does not know which are the agent's.
    """
    maze = DiscoMazeVector(ROWS, size=7, steps=EPISODE)
    rng, order = numpy_stream(seed, "actions"), numpy_stream(seed, "relabelling").permutation(3 * 7 * 7)
    observation = relabelled(maze.reset(seed=derived_seed(seed, "maze"))[0], order)
    steps = []
    for _ in range(SHOWN):
        action = rng.integers(4, size=ROWS)
        observation_next, _, ended, _, _ = maze.step(action)
        steps.append((observation, relabelled(observation_next, order), torch.as_tensor(action), torch.as_tensor(~ended)))
        observation = steps[-1][1]
    embed = student.create(
        "controllable_states", *(torch.cat(column) for column in zip(*steps, strict=True)), UPDATES, derived_seed(seed, "student") % 2**31
    )
    memory = student.create("EpisodicMemory", ROWS, 16, 128, 5, kernel_epsilon=1e-2)
    new, known, ended = [], [], np.zeros(ROWS, bool)
    maze.reset()
    memory.bonus(embed.forward(relabelled(maze.observe(), order)))
    for _ in range(JUDGED):
        before = maze.seen.copy()
        _, _, ended, _, _ = maze.step(rng.integers(4, size=ROWS))
        first = before[np.arange(ROWS), maze.place] < 0
        if ended.any():
            memory.reset(torch.as_tensor(ended))
        reward = expect_numbers(memory.bonus(embed.forward(relabelled(maze.observe(), order))), (ROWS,), "the episodic rewards")
        new += reward[first & ~ended].tolist()
        known += reward[~first & ~ended].tolist()
    return Attempt(probability_of_more(np.array(new), np.array(known)), (SHOWN + JUDGED) * ROWS)


def relabelled(image, order):
    """Return images [B, 3, H, W] of bytes as vectors of numbers up to 1, in another order."""
    return torch.as_tensor(image / 255, dtype=torch.float32).flatten(1)[:, order]


def probability_of_more(ones, others):
    """Return how often one of the first exceeds one of the others, ties counted half."""
    difference = ones[:, None] - others
    return float((difference > 0).mean() + (difference == 0).mean() / 2)


TOPIC = Topic(
    name="ngu",
    title="Never Give Up: directed exploration",
    exercises=(
        "inverse_dynamics_loss",
        "inverse_kernel",
        "episodic_bonus",
        "EpisodicMemory.bonus",
        "EpisodicMemory.reset",
        "prediction_error",
        "life_long_modulator",
        "intrinsic_reward",
        "exploration_weights",
        "discounts",
        "epsilon_greedy",
        "conditioned",
        "ngu_targets",
    ),
    checks=checks_of(__name__),
    trainings=(
        Training(
            "new cells",
            f"After {UPDATES} updates of the embedding, cells that are new to an episode earn more than known ones.",
            3,
            new_cells_are_novel,
            "a Disco Maze of 7 × 7 cells",
            seconds=60.0,
            unreached=("exploration_weights", "discounts"),
        ),
    ),
)
