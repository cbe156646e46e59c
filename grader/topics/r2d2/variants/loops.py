"""Plain loops over steps and sequences, Python numbers inside."""


def dueling(value, advantage):
    flat = advantage.reshape(-1, advantage.shape[-1])
    rows = [v + row - sum(row) / len(row) for v, row in zip(value.reshape(-1), flat)]
    return torch.stack(rows).reshape(advantage.shape)


def n_step_double_q_targets(reward, discount, same_episode, q_online_next, q_target_next, steps):
    for other in (discount, same_episode, q_online_next[..., 0], q_target_next[..., 0]):
        if other.shape != reward.shape:
            raise ValueError(f"shapes differ: {list(reward.shape)} and {list(other.shape)}")
    length, batch = reward.shape
    result = torch.zeros_like(reward)
    for b in range(batch):
        for t in range(length):
            total, factor, at = 0.0, 1.0, t
            while True:
                total += factor * reward[at, b].item()
                factor *= discount[at, b].item()
                if at - t + 1 == steps or at == length - 1 or same_episode[at, b] == 0:
                    break
                at += 1
            action = int(q_online_next[at, b].argmax())
            result[t, b] = total + factor * q_target_next[at, b, action].item()
    return result


def sequence_priority(td_error, mask, max_weight):
    priorities = []
    for errors, valid in zip(td_error.T.tolist(), mask.T.tolist()):
        kept = [abs(error) for error, counts in zip(errors, valid) if counts]
        priorities.append(max_weight * max(kept) + (1 - max_weight) * sum(kept) / len(kept))
    return torch.tensor(priorities, dtype=torch.float64)


def importance_weights(probability, size, exponent):
    weights = [(1 / (size * p)) ** exponent for p in probability.tolist()]
    return torch.tensor([weight / max(weights) for weight in weights])


def add(self, stream, row, state, ended, successor):
    for i, (b, over) in enumerate(zip(stream, ended)):
        here = np.array([b])
        self.append(here, {name: column[i : i + 1] for name, column in row.items()}, state[i : i + 1])
        if over:
            self.append(here, {name: column[i : i + 1] for name, column in successor.items()}, 0 * state[i : i + 1])
        while self.count[b] >= self.next_start[b] + self.length + 1:
            self.insert(here, self.next_start[here], np.array([self.length]))
            self.covered[b] = self.next_start[b] + self.length
            self.next_start[b] += self.period
        if over:
            steps = self.count[b] - 1
            if steps > self.covered[b]:
                self.insert(here, self.next_start[here], np.array([steps - self.next_start[b]]))
            self.restart(here)


SequenceReplay.add = add


def unroll(network, inputs, state, first):
    values = []
    for t in range(len(first)):
        state = state * (~first[t])[:, None].to(state.dtype)
        q, state = network({name: column[t : t + 1] for name, column in inputs.items()}, state)
        values.append(q[0])
    return torch.stack(values), state


def burn_in(network, inputs, state, warm):
    result = state
    for t in range(len(next(iter(inputs.values())))):
        result = network({name: column[t : t + 1] for name, column in inputs.items()}, result)[1].detach()
    return torch.stack([new if use else old for new, old, use in zip(result, state, warm)]).detach()


def actor_epsilons(count, base, exponent):
    return torch.tensor([base if count == 1 else base ** (1 + exponent * i / (count - 1)) for i in range(count)])
