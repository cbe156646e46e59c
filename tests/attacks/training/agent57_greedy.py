# The class of the bandit is replaced by one that keeps a running mean of its own for every arm, and has no exercise in it.
class SlidingWindowUCB:
    def __init__(self, arms, window, coefficient=1.0, epsilon=0.5):
        self.means, self.turn = [1.0] * arms, 0

    def pull(self):
        self.turn += 1
        return max(range(len(self.means)), key=self.means.__getitem__)

    def paid(self, arm, reward):
        self.means[arm] += 0.05 * (reward - self.means[arm])
