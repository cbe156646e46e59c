"""numpy in float64 inside; tensors come out as float64, or stay arrays."""


def dueling(value, advantage):
    return value.double() + (advantage - advantage.mean(dim=-1, keepdim=True)).double()


def sequence_priority(td_error, mask, max_weight):
    error = np.abs(td_error.detach().cpu().numpy().astype(np.float64))
    error = np.ma.masked_array(error, mask.cpu().numpy() == 0)
    return torch.from_numpy(np.asarray(max_weight * error.max(axis=0) + (1 - max_weight) * error.mean(axis=0)))


def importance_weights(probability, size, exponent):
    logarithm = -exponent * np.log(size * probability.cpu().numpy().astype(np.float64))
    return torch.from_numpy(np.exp(logarithm - logarithm.max()))


def sample(self, uniform):
    if len(self) == 0:
        raise ValueError("nothing to sample")
    bounds = np.linspace(0, self.tree.total, len(uniform) + 1)
    slots = self.tree.find(bounds[:-1] + uniform * np.diff(bounds))
    begin = np.where(self.start[slots] > self.episode[slots], self.start[slots] - self.burn_in, self.start[slots])
    end = self.start[slots] + self.steps[slots]
    spans = zip(self.start[slots], begin, end)
    position = np.stack([np.clip(np.arange(s - self.burn_in, s + self.length + 1), b, e) for s, b, e in spans], 1)
    rows = self.store.read(self.stream[slots], position, self.episode[slots])
    probability = self.tree[slots] / self.tree.total
    warm = self.episode[slots] != self.start[slots]
    return Sequences(self.key[slots], probability, warm, self.state[slots].copy(), end - self.start[slots], rows)


SequenceReplay.sample = sample


def update_priorities(self, key, priority):
    for one, p in zip(key.tolist(), priority.tolist()):
        if self.key[one % len(self.key)] == one:
            self.tree.set(np.array([one % len(self.key)]), np.array([max(p, 1e-6) ** self.priority_exponent]))
            self.max_priority = max(self.max_priority, p)


SequenceReplay.update_priorities = update_priorities


def q_discrepancy(q_replayed, q_reference):
    difference = (q_replayed - q_reference).detach().cpu().numpy().astype(np.float64)
    scale = q_reference.detach().cpu().numpy().max(axis=2).max(axis=0)
    return np.sqrt((difference**2).sum(-1)) / np.abs(scale)


def actor_epsilons(count, base, exponent):
    return np.logspace(1, 1 + exponent, count, base=base)
