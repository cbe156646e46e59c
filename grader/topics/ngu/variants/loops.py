"""Everything by loops over Python numbers, as someone would write it who distrusts tensors."""

import numpy as np


def inverse_dynamics_loss(embed, classify, observation, observation_next, action, valid):
    total, count = 0.0, 0
    for n in range(len(action)):
        if bool(valid[n]):
            pair = torch.cat((embed(observation[n : n + 1]), embed(observation_next[n : n + 1])), dim=1)
            total = total - torch.log_softmax(classify(pair), dim=1)[0, int(action[n])]
            count += 1
    return total / count


def inverse_kernel(squared_distance, mean_squared_distance, epsilon, cluster_distance):
    result = torch.ones_like(squared_distance)
    if float(mean_squared_distance) > 0:
        for index in np.ndindex(*squared_distance.shape):
            relative = max(squared_distance[index].item() / float(mean_squared_distance) - cluster_distance, 0.0)
            result[index] = epsilon / (relative + epsilon)
    return result


def episodic_bonus(similarity, pseudo_count, max_similarity):
    result = similarity.new_zeros(similarity.shape[:-1])
    for index in np.ndindex(*result.shape):
        s = math.sqrt(sum(similarity[index].tolist())) + pseudo_count
        result[index] = 1 / s if s <= max_similarity else 0.0
    return result


class EpisodicMemory(EpisodicMemory):
    def bonus(self, embedding):
        capacity = self.embeddings.shape[1]
        nearest = []
        for b in range(len(embedding)):
            held = min(int(self.count[b]), capacity)
            distances = sorted(float(((self.embeddings[b, c] - embedding[b]) ** 2).sum()) for c in range(held))
            nearest.append(distances[: self.neighbours])
        flat = [distance for distances in nearest for distance in distances]
        if flat:
            self.squared_distance.update(torch.tensor(flat).reshape(-1, 1))
        rewards = []
        for distances in nearest:
            if distances:
                kernel = inverse_kernel(torch.tensor(distances), self.squared_distance.mean[0], self.kernel_epsilon, self.cluster_distance)
                rewards.append(float(episodic_bonus(kernel, self.pseudo_count, self.max_similarity)))
            else:
                rewards.append(0.0)
        self.store(torch.full((len(embedding),), True), embedding)
        return torch.tensor(rewards)

    def reset(self, rows):
        for b in range(len(rows)):
            if rows[b]:
                self.count[b] = 0


def prediction_error(prediction, target):
    rows = []
    for n in range(len(prediction)):
        rows.append(sum((prediction[n, p] - target[n, p].detach()) ** 2 for p in range(prediction.shape[1])))
    return torch.stack(rows)


def life_long_modulator(error, mean, std):
    if std.item() == 0:
        return torch.ones_like(error)
    return 1 + (error - mean) / std


def intrinsic_reward(episodic, modulator, maximum):
    return torch.tensor([r * min(max(a, 1.0), maximum) for r, a in zip(episodic.tolist(), modulator.tolist())])


def exploration_weights(count, maximum):
    weights = []
    for i in range(count):
        if i == count - 1:
            weights.append(maximum)
        elif i == 0:
            weights.append(0.0)
        else:
            weights.append(maximum / (1 + math.exp(-10 * (2 * i - (count - 2)) / (count - 2))))
    return torch.tensor(weights)


def discounts(count, longest, shortest):
    if count == 1:
        return torch.tensor([longest])
    logs = [((count - 1 - i) * math.log(1 - longest) + i * math.log(1 - shortest)) / (count - 1) for i in range(count)]
    return torch.tensor([1 - math.exp(x) for x in logs])


def epsilon_greedy(q, epsilon):
    epsilon = epsilon.expand(q.shape[:-1])
    policy = torch.zeros_like(q)
    for index in np.ndindex(*q.shape[:-1]):
        values = q[index].tolist()
        for a in range(len(values)):
            policy[index + (a,)] = epsilon[index] / len(values)
        policy[index + (values.index(max(values)),)] += 1 - epsilon[index]
    return policy


def conditioned(arm, previous_action, previous_extrinsic, previous_intrinsic, first, arm_count, action_count):
    length, batch = arm.shape
    result = torch.zeros(length, batch, arm_count + action_count + 2)
    for t in range(length):
        for b in range(batch):
            result[t, b, arm[t, b]] = 1
            if not first[t, b]:
                result[t, b, arm_count + previous_action[t, b]] = 1
                result[t, b, -2] = previous_extrinsic[t, b]
                result[t, b, -1] = previous_intrinsic[t, b]
    return result
