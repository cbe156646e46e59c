"""A bandit that asks its window in other ways; the rest by small helpers."""

import itertools
from collections import Counter


def _shares(window):
    counts = Counter(arm for arm, _ in window)
    paid = {arm: math.fsum(reward for pulled, reward in window if pulled == arm) for arm in counts}
    return counts, {arm: paid[arm] / counts[arm] for arm in counts}


class SlidingWindowUCB(SlidingWindowUCB):
    def select(self, uniform, arm):
        if self.pulls < self.arms:
            return self.pulls
        if not uniform >= self.epsilon:
            return arm
        counts, means = _shares(self.window)
        for candidate in range(self.arms):
            if candidate not in counts:
                return candidate
        return max(range(self.arms), key=lambda a: (means[a] + self.coefficient * counts[a] ** -0.5, -a))

    def update(self, arm, reward):
        self.window.append((arm, reward))
        self.pulls = 1 + self.pulls

    def best(self):
        _, means = _shares(self.window)
        return min(means, key=lambda a: (-means[a], a)) if means else 0


def discounts(count, longest, middle, shortest):
    if count - 10 < 0:
        raise ValueError("the family must have ten policies")

    def gamma(j):
        if j in (0, 7):
            return middle if j else longest
        if j < 7:
            return middle + (longest - middle) / (1 + math.exp(10 * (2 * j - 6) / 6))
        exponent = (count - 1 - j) * math.log1p(-middle) + (j - 8) * math.log1p(-shortest)
        return -math.expm1(exponent / (count - 9))

    return torch.tensor(list(map(gamma, range(count))))


def capped(scores):
    return torch.where(scores > 1, 1.0, scores).relu()


def benchmark_statistics(scores):
    ordered = (scores.double() * 100).sort().values

    def at(share):
        place = share * (len(ordered) - 1)
        low = math.floor(place)
        high = min(low + 1, len(ordered) - 1)
        return torch.lerp(ordered[low], ordered[high], place - low).item()

    first = {"capped mean": capped(scores.double()).mean().item() * 100, "above human": sum(1 for score in scores if score > 1)}
    rest = {"mean": ordered.sum().item() / len(ordered), "median": at(0.5)}
    return dict(itertools.chain(first.items(), rest.items(), ((f"{p}th percentile", at(p / 100)) for p in PERCENTILES)))
