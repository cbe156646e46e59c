"""numpy wherever no gradient is needed."""


def lambda_advantage(reward, discount, same_episode, value, value_next, trace_lambda):
    arrays = (reward, discount, same_episode, value, value_next)
    reward, discount, same_episode, value, value_next = (np.asarray(array, dtype=np.float64) for array in arrays)
    delta = reward + discount * value_next - value
    advantage = np.zeros((len(delta) + 1, delta.shape[1]))
    for t in range(len(delta))[::-1]:
        advantage[t] = delta[t] + trace_lambda * discount[t] * same_episode[t] * advantage[t + 1]
    return torch.from_numpy(advantage[:-1].astype(np.float32))


def lambda_return(advantage, value):
    return torch.from_numpy(np.add(advantage.numpy(), value.numpy()))


def normalized(advantage):
    array = advantage.numpy().astype(np.float64)
    return torch.as_tensor((array - array.mean()) / (array.std() + 1e-8), dtype=torch.float32)


def minibatches(count, batch_size, generator):
    order = np.argsort(torch.rand(count, generator=generator, dtype=torch.float64).numpy())
    return [torch.as_tensor(order[start : start + batch_size]) for start in range(0, count, batch_size)]


def numpy_update(self, rows):
    rows = rows.numpy().astype(np.float64)
    n_a, n_b = float(self.count), rows.shape[0]
    mean_a, m2_a = self.mean.numpy(), n_a * self.variance.numpy()
    mean_b = rows.mean(axis=0)
    m2_b = ((rows - mean_b) ** 2).sum(axis=0)
    n = n_a + n_b
    mean = (n_a * mean_a + n_b * mean_b) / n
    m2 = m2_a + m2_b + (mean_b - mean_a) ** 2 * n_a * n_b / n
    self.count, self.mean, self.variance = torch.tensor(n, dtype=torch.float64), torch.from_numpy(mean), torch.from_numpy(m2 / n)


RunningMoments.update = numpy_update
