"""What students get wrong in `ppo`."""

from grader.contract.spec import Mistake

TERMINAL = "Ask what is known about the state after the last one. Where the episode terminated there is none; `discount` says so."
CHANGE = "Draw the density of u and of tanh(u): where tanh squeezes, the density of the action must rise."

MISTAKES = (
    Mistake(
        "bootstraps through a terminal state", "lambda_advantage",
        "delta = reward + discount * value_next - value", "delta = reward + discount.max() * value_next - value", TERMINAL,
    ),
    Mistake(
        "lets the next episode leak into the advantages of this one", "lambda_advantage",
        "decay = trace_lambda * discount * same_episode", "decay = trace_lambda * discount",
        "After a truncation the next row is another episode's, although the discount is still γ. Something must cut the sum there.",
    ),
    Mistake(
        "treats truncation as termination", "lambda_advantage",
        "discount * value_next - value", "discount * same_episode * value_next - value",
        "When the time ran out, the pole was still up: the last state has a value, and δ includes it.",
    ),
    Mistake(
        "forgets λ", "lambda_advantage", "decay = trace_lambda * discount", "decay = discount",
        "Try λ = 0: the advantage must then be δ alone.",
    ),
    Mistake(
        "decays by λ where it should decay by γλ", "lambda_advantage",
        "decay = trace_lambda * discount * same_episode", "decay = trace_lambda * same_episode",
        "Try λ = 1: the advantage must then be the *discounted* rewards minus the value.",
    ),
    Mistake(
        "uses V(S_t) in δ where V(S_{t+1}) belongs", "lambda_advantage", "discount * value_next - value", "discount * value - value",
        "δ compares the value of a state with what one step revealed: a reward, and the value of the state after it.",
    ),
    Mistake(
        "takes the next row's value for that of the successor", "lambda_advantage",
        "discount * value_next - value", "discount * torch.cat([value[1:], value_next[-1:]]) - value",
        "After an episode ended, the next row's state is the first of another episode. The true successor's "
        "value is an argument of its own.",
    ),
    Mistake(
        "takes the next row's value for that of the successor, and at the end the last row's own", "lambda_advantage",
        "discount * value_next - value", "discount * torch.cat([value[1:], value[-1:]]) - value",
        "The successor's value is an argument of its own: the next row may belong to another episode, and after the last "
        "row there is none.",
    ),
    Mistake(
        "does not bootstrap at the end of the rollout", "lambda_advantage",
        "discount * value_next - value", "discount * torch.cat([value_next[:-1], 0 * value_next[-1:]]) - value",
        "The rollout ends where you stopped looking, not where the episode stops: the last row has a successor, too.",
    ),
    Mistake(
        "returns the λ-returns in place of the advantages", "lambda_advantage",
        "torch.stack(backwards[::-1])", "torch.stack(backwards[::-1]) + value",
        "If the values were perfect and nothing random happened, every advantage would be 0.",
    ),
    Mistake(
        "returns the rows in reverse order", "lambda_advantage", "backwards[::-1]", "backwards",
        "The recursion runs from the last row to the first; the result must not.",
    ),
    Mistake(
        "trains the values towards the advantages", "lambda_return", "advantage + value", "advantage",
        "The advantage is what a return has in excess of the value. To get the return back, undo that.",
    ),
    Mistake(
        "subtracts the advantage from the value", "lambda_return", "advantage + value", "value - advantage",
        "A positive advantage means that things went better than the value said, so the target lies above it.",
    ),
    Mistake(
        "divides by the number of entries less one", "normalized", "correction=0", "correction=1",
        "Look up which of the two standard deviations your library computes by default, and try a single advantage.",
    ),
    Mistake(
        "normalizes every column for itself", "normalized",
        "(advantage - advantage.mean()) / (advantage.std(correction=0) + 1e-8)",
        "(advantage - advantage.mean(0)) / (advantage.std(0, correction=0) + 1e-8)",
        "One mean and one standard deviation belong to the whole array: a lucky environment should keep its larger advantages.",
    ),
    Mistake(
        "scales the advantages without centring them", "normalized", "(advantage - advantage.mean())", "advantage",
        "Afterwards the mean must be 0.",
    ),
    Mistake(
        "divides by the variance", "normalized", "advantage.std(correction=0)", "advantage.var(correction=0)",
        "Multiply all advantages by 10: the result must stay the same.",
    ),
    Mistake(
        "takes the maximum", "clipped_surrogate", "torch.minimum", "torch.maximum",
        "The objective is a pessimistic bound: of the two terms, which one promises less?",
    ),
    Mistake(
        "does not clip", "clipped_surrogate", "ratio.clamp(1 - clip_epsilon, 1 + clip_epsilon)", "ratio",
        "Without the clipped term nothing stops the policy from moving far away on old data.",
    ),
    Mistake(
        "drops the unclipped term", "clipped_surrogate",
        "torch.minimum(ratio * advantage, clipped_ratio * advantage)", "(clipped_ratio * advantage)",
        "Take a negative advantage and a ratio of 1.5: the policy moved the wrong way and must feel it.",
    ),
    Mistake(
        "clips the ratio from above only", "clipped_surrogate",
        "ratio.clamp(1 - clip_epsilon, 1 + clip_epsilon)", "ratio.clamp(max=1 + clip_epsilon)",
        "For a negative advantage the ratio should fall, and it must not pay to let it fall below 1 - ε.",
    ),
    Mistake(
        "takes the smaller ratio, not the smaller term", "clipped_surrogate",
        "torch.minimum(ratio * advantage, clipped_ratio * advantage)", "(torch.minimum(ratio, clipped_ratio) * advantage)",
        "For a negative advantage the smaller term has the *larger* ratio. Multiply first, then compare.",
    ),
    Mistake(
        "inverts the ratio", "clipped_surrogate", "(log_prob_new - log_prob_old)", "(log_prob_old - log_prob_new)",
        "ρ must grow when the new policy makes the action more likely.",
    ),
    Mistake(
        "uses the difference of the log-probabilities as the ratio", "clipped_surrogate",
        "(log_prob_new - log_prob_old).exp()", "(log_prob_new - log_prob_old)",
        "For two equal policies the ratio is 1.",
    ),
    Mistake(
        "sums over the batch", "clipped_surrogate", ".mean()", ".sum()",
        "The size of a step should not depend on the size of the minibatch.",
    ),
    Mistake(
        "returns one term for each row", "clipped_surrogate", ".mean()", "",
        "An objective is one number: it estimates an expectation over the rows.",
    ),
    Mistake(
        "returns a loss in place of the objective", "clipped_surrogate", "return torch.minimum", "return -torch.minimum",
        "The function's name says *surrogate*: it is maximized. The agent negates it.",
    ),
    Mistake(
        "detaches the new log-probabilities", "clipped_surrogate",
        "(log_prob_new - log_prob_old).exp()", "(log_prob_new.detach() - log_prob_old).exp()",
        "Ask for the gradient by log_prob_new: what is constant here, and what is not?",
    ),
    Mistake(
        "halves the squared error", "value_loss", "((value - target) ** 2).mean()", "((value - target) ** 2).mean() / 2",
        "Here the weight c₁ takes care of any factor.",
    ),
    Mistake(
        "sums the squared errors", "value_loss", ".mean()", ".sum()",
        "The size of a step should not depend on the size of the minibatch.",
    ),
    Mistake(
        "uses Huber's loss", "value_loss", "((value - target) ** 2).mean()", "2 * functional.huber_loss(value, target)",
        "Large errors count in full; Andrychowicz et al. (2021) found that Huber's loss makes things worse.",
    ),
    Mistake(
        "compares every value with every target", "value_loss", "(value - target)", "(value[:, None] - target)",
        "Print the shape of the difference: a column minus a row is a matrix.",
    ),
    Mistake(
        "has the sign of the entropy wrong", "entropy", "return -(", "return (",
        "An entropy is never negative. With the wrong sign a bonus makes the policy *less* random.",
    ),
    Mistake(
        "measures in bits", "entropy", "-(log_prob.exp() * log_prob).sum(-1)", "-(log_prob.exp() * log_prob).sum(-1) / math.log(2)",
        "Of two equally likely actions the entropy is log 2 nats, not 1.",
    ),
    Mistake(
        "takes the logits for log-probabilities", "entropy", "logits.log_softmax(-1)", "logits",
        "Add 1 to all logits: the distribution stays the same, and so must the entropy.",
    ),
    Mistake(
        "multiplies the probabilities by themselves, not by their logarithms", "entropy",
        "log_prob.exp() * log_prob)", "log_prob.exp() * log_prob.exp())",
        "A certain action has the entropy 0, and of two equally likely ones it is log 2.",
    ),
    Mistake(
        "averages over the actions", "entropy", ".sum(-1)", ".mean(-1)",
        "The entropy is an expectation: the weights p(a) are already in the sum.",
    ),
    Mistake(
        "normalizes over the wrong axis", "entropy", "logits.log_softmax(-1)", "logits.log_softmax(0)",
        "The actions lie along the last axis; each row's probabilities must sum to 1.",
    ),
    Mistake(
        "takes the logarithm of probabilities that underflow", "entropy",
        "log_prob = logits.log_softmax(-1)", "log_prob = logits.softmax(-1).log()",
        "In float32 the probability of an unlikely action is 0, and 0 · log 0 is NaN. Compute the log-probability without the probability.",
    ),
    Mistake(
        "leaves out the change of variables", "tanh_gaussian_log_prob",
        "(log_normal - log_derivative)", "(log_normal + 0 * log_derivative)", CHANGE,
    ),
    Mistake(
        "adds the logarithm of the derivative", "tanh_gaussian_log_prob",
        "(log_normal - log_derivative)", "(log_normal + log_derivative)", CHANGE,
    ),
    Mistake(
        "averages over the components", "tanh_gaussian_log_prob", ".sum(-1)", ".mean(-1)",
        "The components are independent, so their densities multiply.",
    ),
    Mistake(
        "divides by the variance where the standard deviation belongs", "tanh_gaussian_log_prob",
        "(pre_tanh - mean) / std)", "(pre_tanh - mean) / std**2)",
        "The error is measured in standard deviations, and then squared.",
    ),
    Mistake(
        "forgets the logarithm of the standard deviation", "tanh_gaussian_log_prob", " - std.log()", "",
        "A narrow Gaussian is tall: its density depends on σ even at the mean.",
    ),
    Mistake(
        "forgets the constant ½ log 2π", "tanh_gaussian_log_prob", " - math.log(2 * math.pi) / 2", "",
        "Integrate the density over all actions: it must give 1.",
    ),
    Mistake(
        "computes 1 - tanh² in floating point", "tanh_gaussian_log_prob",
        "2 * (math.log(2) - pre_tanh - functional.softplus(-2 * pre_tanh))", "(1 - pre_tanh.tanh() ** 2 + 1e-6).log()",
        "For u = 20 the float32 number tanh(u) is 1. Rewrite 1 - tanh² with exponentials of -2u and take the logarithm by hand.",
    ),
    Mistake(
        "takes the logarithm of 1 - tanh², which is 0 far out", "tanh_gaussian_log_prob",
        "2 * (math.log(2) - pre_tanh - functional.softplus(-2 * pre_tanh))", "(1 - pre_tanh.tanh() ** 2).log()",
        "For u = 20 the float32 number tanh(u) is 1. Rewrite 1 - tanh² with exponentials of -2u and take the logarithm by hand.",
    ),
    Mistake(
        "drops the last minibatch when it is smaller", "minibatches",
        "return list(torch.randperm(count, generator=generator, device=generator.device).split(batch_size))",
        "return list(torch.randperm(count, generator=generator).split(batch_size))[: count // batch_size]",
        "Every row was paid for with an environment step.",
    ),
    Mistake(
        "does not shuffle", "minibatches", "torch.randperm(count, generator=generator, device=generator.device)", "torch.arange(count)",
        "Neighbouring rows are alike. A minibatch of them is a bad sample.",
    ),
    Mistake(
        "draws rows with replacement", "minibatches",
        "torch.randperm(count, generator=generator, device=generator.device)", "torch.randint(count, (count,), generator=generator)",
        "In one epoch every row is used exactly once.",
    ),
    Mistake(
        "ignores the generator", "minibatches",
        "torch.randperm(count, generator=generator, device=generator.device)", "torch.randperm(count)",
        "A run can be repeated only if all its randomness comes from streams that are passed in.",
    ),
    Mistake(
        "makes as many minibatches as each should have rows", "minibatches", ".split(batch_size)", ".chunk(batch_size)",
        "`batch_size` is the number of rows of a minibatch.",
    ),
    Mistake(
        "takes the moments of the new rows in their own precision", "RunningMoments.update", "rows = rows.double()", "rows = rows.clone()",
        "Observations come in float32, whose seven digits are used up when the mean is a million times the standard deviation.",
    ),
    Mistake(
        "weights old and new rows equally", "RunningMoments.update",
        "self.mean = self.mean + difference * (new_count / count)", "self.mean = self.mean + difference / (2 if self.count else 1)",
        "Give it one row after a thousand: how far may the mean move?",
    ),
    Mistake(
        "divides the variance by the number of rows less one", "RunningMoments.update",
        "rows.var(0, correction=0)", "rows.var(0, correction=min(1, len(rows) - 1))",
        "Look up which variance your library computes by default.",
    ),
    Mistake(
        "forgets the distance between the two means", "RunningMoments.update", " + difference**2 * (self.count * new_count / count)", "",
        "Two batches of constants have variance 0 each; together they do not.",
    ),
    Mistake(
        "leaves the count as it was", "RunningMoments.update",
        "self.count, self.variance = count, squares / count", "self.variance = squares / count",
        "The next update must know how many rows it is merged with.",
    ),
    Mistake(
        "keeps only the last rows", "RunningMoments.update",
        "self.count, self.variance = count, squares / count", "self.count, self.mean, self.variance = count, rows.mean(0), new_variance",
        "The moments are those of *all* rows ever given.",
    ),
    Mistake(
        "subtracts the squared mean from the mean of squares", "RunningMoments.update",
        "self.count, self.variance = count, squares / count",
        "self.variance = (self.count * (self.variance + (count * self.mean - rows.sum(0)) ** 2 / max(self.count, "
        "1) ** 2) + (rows**2).sum(0)) / count "
        "- self.mean**2\n        self.count = count",
        "Both terms are about 10¹⁴ when the mean is 10⁷, and their difference is 1: nothing is left "
        "of it. Work with differences from the mean.",
    ),
)  # fmt: skip
