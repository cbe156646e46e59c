"""Everything by loops and lists."""

import statistics


def combined_q(extrinsic, intrinsic, weight):
    result = extrinsic.clone()
    for a in range(extrinsic.shape[-1]):
        result[..., a] = extrinsic[..., a] + weight * intrinsic[..., a]
    return result


def transformed_combined_q(extrinsic, intrinsic, weight, transform, inverse):
    total = inverse(extrinsic)
    total = total + weight.unsqueeze(-1) * inverse(intrinsic)
    return transform(total)


class SlidingWindowUCB(SlidingWindowUCB):
    def _paid(self, arm):
        return [reward for pulled, reward in self.window if pulled == arm]

    def select(self, uniform, arm):
        if self.pulls < self.arms:
            return self.pulls
        if uniform < self.epsilon:
            return arm
        best, best_bound = 0, -math.inf
        for candidate in range(self.arms):
            paid = self._paid(candidate)
            bound = statistics.fmean(paid) + self.coefficient / math.sqrt(len(paid)) if paid else math.inf
            if bound > best_bound:
                best, best_bound = candidate, bound
        return best

    def update(self, arm, reward):
        if len(self.window) == self.window.maxlen:
            self.window.popleft()
        self.window.append((arm, float(reward)))
        self.pulls = self.pulls + 1

    def best(self):
        means = [statistics.fmean(self._paid(arm)) if self._paid(arm) else -math.inf for arm in range(self.arms)]
        return means.index(max(means))


def discounts(count, longest, middle, shortest):
    if count < 10:
        raise ValueError("too few")
    gammas = [longest]
    for j in range(1, 7):
        gammas.append(middle + (longest - middle) / (1 + math.exp(-10 * (6 - 2 * j) / 6)))
    gammas.append(middle)
    for j in range(8, count):
        share = (j - 8) / (count - 9)
        gammas.append(1 - (1 - middle) ** (1 - share) * (1 - shortest) ** share)
    return torch.tensor(gammas)


def human_normalized_score(agent, random, human):
    return torch.div(agent.double() - random.double(), human.double() - random.double())


def capped(scores):
    return torch.minimum(torch.maximum(scores, torch.zeros_like(scores)), torch.ones_like(scores))


def benchmark_statistics(scores):
    numbers = sorted(float(score) for score in scores)

    def percentile(p):
        place = (len(numbers) - 1) * p / 100
        below = int(place)
        above = min(below + 1, len(numbers) - 1)
        return 100 * (numbers[below] * (1 - (place - below)) + numbers[above] * (place - below))

    result = {f"{p}th percentile": percentile(p) for p in (40, 30, 20, 10, 5)}
    result["capped mean"] = 100 * statistics.fmean(min(max(score, 0.0), 1.0) for score in numbers)
    result["above human"] = len([score for score in numbers if score > 1])
    result["mean"] = 100 * statistics.fmean(numbers)
    result["median"] = 100 * statistics.median(numbers)
    return result
