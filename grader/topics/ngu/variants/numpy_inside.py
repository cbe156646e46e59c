"""With numpy wherever no gradient flows."""

import numpy as np


def inverse_kernel(squared_distance, mean_squared_distance, epsilon, cluster_distance):
    squared, mean = squared_distance.numpy().astype(np.float64), float(mean_squared_distance)
    if mean == 0:
        return torch.ones(*squared.shape)
    beyond = np.maximum(squared / mean - cluster_distance, 0)
    return torch.from_numpy(epsilon / (beyond + epsilon))


def episodic_bonus(similarity, pseudo_count, max_similarity):
    total = np.sqrt(similarity.numpy().astype(np.float64).sum(-1)) + pseudo_count
    return torch.as_tensor(np.where(total > max_similarity, 0.0, 1 / total))


class EpisodicMemory(EpisodicMemory):
    def bonus(self, embedding):
        held = np.minimum(self.count.numpy(), self.embeddings.shape[1])
        stored, points = self.embeddings.numpy(), embedding.numpy()
        nearest = [
            np.partition(((stored[b, :m] - points[b]) ** 2).sum(1), min(self.neighbours, m) - 1)[: self.neighbours] if m else np.zeros(0)
            for b, m in enumerate(held)
        ]
        found = np.concatenate(nearest)
        if len(found):
            self.squared_distance.update(torch.from_numpy(found).float().reshape(-1, 1))
        reward = torch.zeros(len(points))
        for b, distances in enumerate(nearest):
            if len(distances):
                mean = self.squared_distance.mean[0]
                similarity = inverse_kernel(torch.from_numpy(distances), mean, self.kernel_epsilon, self.cluster_distance)
                reward[b] = episodic_bonus(similarity, self.pseudo_count, self.max_similarity)
        self.store(torch.full((len(points),), True), embedding)
        return reward

    def reset(self, rows):
        count = self.count.numpy().copy()
        count[rows.numpy()] = 0
        self.count = torch.from_numpy(count)


def exploration_weights(count, maximum):
    index = np.arange(count)
    weights = maximum / (1 + np.exp(-10 * (2 * index - (count - 2)) / max(count - 2, 1)))
    weights[0] = 0
    weights[count - 1] = maximum
    return torch.as_tensor(weights)


def discounts(count, longest, shortest):
    return torch.as_tensor(1 - np.geomspace(1 - longest, 1 - shortest, count))


def epsilon_greedy(q, epsilon):
    values = q.detach().numpy()
    epsilon = np.broadcast_to(epsilon.numpy(), values.shape[:-1])[..., None]
    greedy = np.arange(values.shape[-1]) == values.argmax(-1)[..., None]
    return torch.as_tensor(np.where(greedy, 1 - epsilon, 0) + epsilon / values.shape[-1]).to(q.dtype)
