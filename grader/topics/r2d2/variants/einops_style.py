"""Whole-array expressions: softly written formulas, masks as booleans, importance weights from the smallest probability."""


def dueling(value, advantage):
    actions = advantage.shape[-1]
    centring = torch.eye(actions, dtype=advantage.dtype) - 1 / actions
    return value + advantage @ centring


def n_step_double_q_targets(reward, discount, same_episode, q_online_next, q_target_next, steps):
    if not reward.shape == discount.shape == same_episode.shape == q_online_next.shape[:2] or q_online_next.shape != q_target_next.shape:
        raise ValueError("the shapes of the arguments must fit one another")
    chosen = torch.nn.functional.one_hot(q_online_next.argmax(-1), q_online_next.shape[-1]).to(q_target_next.dtype)
    bootstrap = (chosen * q_target_next).sum(-1).detach()
    onward = same_episode.clone()
    onward[-1] = 0
    target = bootstrap
    for remaining in range(steps):
        following = torch.roll(target, -1, 0) if remaining else bootstrap
        target = reward + discount * (onward * following + (1 - onward) * bootstrap)
    return target


def importance_weights(probability, size, exponent):
    return (probability.min() / probability) ** exponent


def add(self, stream, row, state, ended, successor):
    self.append(stream, row, state)
    over = np.compress(ended, stream)
    if len(over):
        self.append(over, {name: column[ended] for name, column in successor.items()}, state[ended])
    made = np.isin(np.arange(len(self.count)), stream)
    ready = made & (self.count >= self.next_start + self.length + 1)
    if ready.any():
        (full,) = ready.nonzero()
        self.insert(full, self.next_start[full], np.repeat(self.length, len(full)))
        self.covered = np.where(ready, self.next_start + self.length, self.covered)
        self.next_start = self.next_start + self.period * ready
    remaining = np.isin(np.arange(len(self.count)), over) & (self.count - 1 > self.covered)
    if remaining.any():
        (rest,) = remaining.nonzero()
        self.insert(rest, self.next_start[rest], self.count[rest] - 1 - self.next_start[rest])
    for counter in (self.count, self.next_start, self.covered):
        counter[over] = 0


SequenceReplay.add = add
