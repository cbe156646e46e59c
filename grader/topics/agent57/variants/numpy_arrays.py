"""With numpy wherever no gradient is needed, and float64 results."""

import numpy as np


def split_targets(
    online, target, action, behaviour, extrinsic, intrinsic, weight, discount, same_episode, trace_lambda, target_epsilon, epsilon
):
    shapes = {tuple(x.shape) for x in (behaviour, extrinsic, intrinsic, discount, same_episode)}
    if shapes != {tuple(action.shape)} or tuple(weight.shape) != (action.shape[1],):
        raise ValueError("shapes differ")
    if len({tuple(q.shape) for q in (*online, *target)}) != 1 or len(online[0]) != len(action) + 1:
        raise ValueError("shapes differ")
    length, batch = action.shape
    q = (online[0].detach() + weight[:, None] * online[1].detach()).numpy()
    policy = np.full(q.shape, target_epsilon / q.shape[-1])
    np.put_along_axis(policy, q.argmax(-1)[..., None], target_epsilon / q.shape[-1] + 1 - target_epsilon, -1)
    index = action.numpy()[..., None]
    trace = trace_lambda * np.minimum(1, np.take_along_axis(policy[:-1], index, -1)[..., 0] / behaviour.numpy())
    results = []
    for reward, head in ((extrinsic, target[0]), (intrinsic, target[1])):
        value = rescale_inverse(head.detach().double(), epsilon).numpy()
        expected, taken = (policy * value).sum(-1), np.take_along_axis(value[:-1], index, -1)[..., 0]
        y, carried = np.zeros((length, batch)), np.zeros(batch)
        for t in range(length - 1, -1, -1):
            onwards = discount[t].numpy() * same_episode[t].numpy() * trace[t + 1] * carried if t < length - 1 else 0.0
            carried = reward[t].numpy() + discount[t].numpy() * expected[t + 1] - taken[t] + onwards
            y[t] = taken[t] + carried
        results.append(rescale(torch.from_numpy(y), epsilon))
    return tuple(results)


class SlidingWindowUCB(SlidingWindowUCB):
    def select(self, uniform, arm):
        if self.pulls < self.arms:
            return int(self.pulls)
        if uniform < self.epsilon:
            return int(arm)
        arms, rewards = (np.array(column) for column in zip(*self.window))
        count = np.bincount(arms, minlength=self.arms)
        with np.errstate(divide="ignore", invalid="ignore"):
            bound = np.where(count > 0, np.bincount(arms, rewards, self.arms) / count + self.coefficient / np.sqrt(count), np.inf)
        return int(np.argmax(bound))

    def update(self, arm, reward):
        self.window.append((arm, reward))
        self.pulls += 1

    def best(self):
        if not self.window:
            return 0
        arms, rewards = (np.array(column) for column in zip(*self.window))
        count = np.bincount(arms, minlength=self.arms)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.where(count > 0, np.bincount(arms, rewards, self.arms) / count, -np.inf)
        return int(mean.argmax())


def discounts(count, longest, middle, shortest):
    if count <= 9:
        raise ValueError(f"expected ten policies or more, got {count}")
    j = np.arange(1, 7)
    long = middle + (longest - middle) / (1 + np.exp(-(10 * (6 - 2 * j) / 6)))
    short = 1 - np.exp(np.linspace(np.log(1 - middle), np.log(1 - shortest), count - 8))
    return torch.from_numpy(np.concatenate([[longest], long, [middle], short]))


def benchmark_statistics(scores):
    percent = 100 * scores.numpy()
    names = {f"{p}th percentile": float(np.percentile(percent, p)) for p in (40, 30, 20, 10, 5)}
    return names | {
        "capped mean": float(np.clip(percent, 0, 100).mean()),
        "above human": int(np.sum(percent > 100)),
        "mean": float(percent.mean()),
        "median": float(np.median(percent)),
    }
