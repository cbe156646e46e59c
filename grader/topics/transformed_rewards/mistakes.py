"""What students get wrong in `transformed_rewards`."""

from grader.contract.spec import Mistake

RESCALE = "return x * (1 / (torch.sqrt(x.abs() + 1) + 1) + epsilon)"
ROOT = "root = 2 * x / (linear + torch.sqrt(linear**2 + 4 * epsilon * x.abs()))"
INVERSE = "return root * (root.abs() + 2)"
BELLMAN = "return (transition * (reward + discount * q.amax(dim=-1))).sum(dim=-1)"
TRANSFORMED = "return (transition * transform(reward + discount * inverse(q).amax(dim=-1))).sum(dim=-1)"
ONE_STEP = "one_step = reward + discount * inverse(value_next)"
LONGER = "one_step_longer = reward[:-1] + discount[:-1] * target[1:]"

DIGITS = "Compare with float64. Where are two nearly equal numbers subtracted? Multiply by a sum, or solve the quadratic the other way."
SIGNS = "Compare h(-3) with -h(3): one of the two is easy to overlook when all rewards of an example are positive."
TERMINAL = "Ask what is known about the state after the last one. Where the episode ended for good there is none; `discount` says so."
PLACE = "h belongs to the whole return: what does the network predict, the transformed value or a sum of transformed rewards?"

MISTAKES = (
    Mistake(
        "subtracts nearly equal numbers in h",
        "rescale",
        RESCALE,
        "return torch.sign(x) * (torch.sqrt(x.abs() + 1) - 1) + epsilon * x",
        DIGITS,
    ),
    Mistake("loses the sign of negative arguments of h", "rescale", RESCALE, RESCALE.replace("return x *", "return x.abs() *"), SIGNS),
    Mistake(
        "forgets the term εx",
        "rescale",
        " + epsilon)",
        ")",
        "The square root flattens out. Which term keeps h steep enough for an inverse that does not explode?",
    ),
    Mistake(
        "forgets to subtract 1 from the square root",
        "rescale",
        RESCALE,
        "return torch.sign(x) * torch.sqrt(x.abs() + 1) + epsilon * x",
        "Evaluate h(0): h must not jump from -1 to 1 there.",
    ),
    Mistake(
        "subtracts nearly equal numbers in h⁻¹",
        "rescale_inverse",
        INVERSE,
        "return torch.sign(x) * (((torch.sqrt(1 + 4 * epsilon * (x.abs() + 1 + epsilon)) - 1) / (2 * epsilon)) ** 2 - 1)",
        DIGITS,
    ),
    Mistake(
        "returns positive values of h⁻¹ for negative arguments",
        "rescale_inverse",
        INVERSE,
        "return root.abs() * (root.abs() + 2)",
        SIGNS,
    ),
    Mistake("takes the square root of a signed argument in h⁻¹", "rescale_inverse", "epsilon * x.abs()", "epsilon * x", SIGNS),
    Mistake(
        "forgets to subtract 1 at the end of h⁻¹",
        "rescale_inverse",
        INVERSE,
        "return torch.sign(x) * (root.abs() + 1) ** 2",
        "Evaluate h⁻¹(0). A test of h(h⁻¹(x)) = x finds this at once; a training run does not.",
    ),
    Mistake(
        "inverts h without its term εx",
        "rescale_inverse",
        "return root",
        "root = x\n    return root",
        "Your function inverts the square root alone. Put its result into h: the term εx is left over.",
    ),
    Mistake(
        "averages over the next actions where the best one counts",
        "bellman_operator",
        "q.amax(dim=-1)",
        "q.mean(dim=-1)",
        "T is the operator of optimal control: the agent will choose its next action, not draw it.",
    ),
    Mistake("bootstraps through the end of an episode", "bellman_operator", "discount * q", "discount.amax() * q", TERMINAL),
    Mistake(
        "adds the sum of all rewards, however unlikely their transitions",
        "bellman_operator",
        BELLMAN,
        "return reward.sum(dim=-1) + (transition * discount * q.amax(dim=-1)).sum(dim=-1)",
        "A reward that comes with a transition of probability 1/10 contributes a tenth of its value.",
    ),
    Mistake(
        "takes the best value among the successors, as if they could be chosen",
        "bellman_operator",
        BELLMAN,
        "return (transition * reward).sum(dim=-1) + (transition * discount).sum(dim=-1) * q.amax()",
        "The maximum is over actions, in the successor that occurred. Which successor occurs is not the agent's choice.",
    ),
    Mistake(
        "applies h to the expectation, not to each target",
        "transformed_bellman_operator",
        TRANSFORMED,
        "return transform((transition * (reward + discount * inverse(q).amax(dim=-1))).sum(dim=-1))",
        "A network sees one sampled target after the other, each transformed already. Which average does regression on them find?",
    ),
    Mistake(
        "applies h to the reward alone",
        "transformed_bellman_operator",
        TRANSFORMED,
        "return (transition * (transform(reward) + discount * q.amax(dim=-1))).sum(dim=-1)",
        PLACE,
    ),
    Mistake(
        "does not bring the next values back by h⁻¹",
        "transformed_bellman_operator",
        "inverse(q)",
        "q",
        "A reward and a transformed value live on different scales; they may be added only after h⁻¹.",
    ),
    Mistake(
        "leaves the expected targets untransformed",
        "transformed_bellman_operator",
        "transform(reward + discount * inverse(q).amax(dim=-1))",
        "(reward + discount * inverse(q).amax(dim=-1))",
        "The left side of the equation lives on the scale of h, so the right side must, too.",
    ),
    Mistake(
        "bootstraps through the end of an episode in T_h",
        "transformed_bellman_operator",
        "discount * inverse",
        "discount.amax() * inverse",
        TERMINAL,
    ),
    Mistake(
        "returns the iterate before the last",
        "fixed_point",
        "return current",
        "return previous",
        "The last application has been computed already, and it is the nearer one.",
    ),
    Mistake(
        "takes a decrease for convergence",
        "fixed_point",
        "(current - previous).abs().max()",
        "(current - previous).max()",
        "Start above the fixed point: every change is then negative, and smaller than any tolerance.",
    ),
    Mistake(
        "stops when the mean change is small",
        "fixed_point",
        ".abs().max()",
        ".abs().mean()",
        "The guarantee is in the maximum norm; a mean can hide one state that is still far away.",
    ),
    Mistake(
        "returns the last iterate without having converged",
        "fixed_point",
        'raise RuntimeError(f"no fixed point after {max_iterations} iterations: the last one still changed a value by {change:.3g}")',
        "return current",
        "A wrong answer that looks like a right one is worse than an error.",
    ),
    Mistake(
        "takes the Lipschitz constant of the inverse at infinity, whatever the bound on the values",
        "contraction_bound",
        "flattest = 1 / (2 * math.sqrt(largest_value + 1)) + epsilon",
        "flattest = epsilon",
        "On a bounded interval the slope of h does not fall to ε.",
    ),
    Mistake(
        "takes 1 for the largest slope of h",
        "contraction_bound",
        "1 / 2 + epsilon",
        "1",
        "Differentiate h and evaluate the slope at 0, where it is largest.",
    ),
    Mistake(
        "forgets ε in the largest slope of h",
        "contraction_bound",
        "1 / 2 + epsilon",
        "1 / 2",
        "The derivative of h has two terms, everywhere.",
    ),
    Mistake(
        "returns the inverse of the bound",
        "contraction_bound",
        "flattest / steepest",
        "steepest / flattest",
        "A discount factor is below 1; for a product of Lipschitz constants above 1 the bound must be, too.",
    ),
    Mistake(
        "takes the maximum of the target network",
        "double_q_value",
        "q.argmax",
        "q_target.argmax",
        "That is Q-learning: the same network chooses and evaluates, and so prefers what it overestimates.",
    ),
    Mistake(
        "takes the maximum of the trained network",
        "double_q_value",
        "q_target.gather",
        "q.gather",
        "The network that chooses must not be the one that evaluates; what is the target network for?",
    ),
    Mistake(
        "exchanges the two networks",
        "double_q_value",
        "q_target.gather(-1, q.argmax(dim=-1, keepdim=True))",
        "q.gather(-1, q_target.argmax(dim=-1, keepdim=True))",
        "The trained network chooses the action; the target network says what it is worth.",
    ),
    Mistake(
        "applies h per reward, not to the whole target",
        "transformed_n_step_targets",
        ONE_STEP + "\n    target = one_step",
        "reward = transform(reward)\n    transform = lambda x: x\n    one_step = reward + discount * value_next\n    target = one_step",
        PLACE,
    ),
    Mistake(
        "does not bring the bootstrap value back by h⁻¹",
        "transformed_n_step_targets",
        "inverse(value_next)",
        "value_next",
        "Rewards are on their own scale, the network's values on that of h; they may be added only after h⁻¹.",
    ),
    Mistake(
        "does not transform the target by h",
        "transformed_n_step_targets",
        "return transform(target)",
        "return target",
        "The network predicts values on the scale of h; its target must live there, too.",
    ),
    Mistake(
        "bootstraps through a terminal state",
        "transformed_n_step_targets",
        "discount * inverse",
        "discount.amax() * inverse",
        TERMINAL,
    ),
    Mistake(
        "adds rewards of the next episode",
        "transformed_n_step_targets",
        "torch.where(same_episode[:-1] > 0, one_step_longer, one_step[:-1])",
        "one_step_longer",
        "After a truncation the next row is another episode's, although the discount is still γ. Something must end the sum there.",
    ),
    Mistake(
        "sums one reward too many",
        "transformed_n_step_targets",
        "range(n - 1)",
        "range(n)",
        "For n = 1 the target is one reward and the value of the very next state.",
    ),
    Mistake(
        "does not discount later rewards",
        "transformed_n_step_targets",
        LONGER,
        "one_step_longer = reward[:-1] + (discount[:-1] > 0) * target[1:]",
        "The reward two steps ahead counts γ times, the bootstrap after n steps γ to the n.",
    ),
    Mistake(
        "treats truncation as termination",
        "transformed_n_step_targets",
        "discount * inverse",
        "discount * same_episode * inverse",
        "When the time ran out the task had not ended: the last state has a value, and it is in value_next.",
    ),
)
