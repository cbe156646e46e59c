"""What students get wrong in `retrace`."""

from grader.contract.spec import Mistake

RETRACE = "return trace_lambda * (policy / behaviour).clamp(max=1)"
CORRECTION = "correction = reward + discount * value_next - q"
DECAY = "decay = discount[:-1] * same_episode[:-1] * trace[1:]"
VALUE_NEXT = "value_next = expected_value(inverse(q_next), policy_next)"
TRANSFORMED = "return transform(off_policy_targets(reward, discount, same_episode, inverse(q), value_next, trace))"
SERIES = "onwards = (transition * discount)[..., None] * (behaviour * trace)"

RATIO = "Which policy produced the data? Its frequent actions are over-represented, and must count for less."
INDEX = "Which action does c_t judge, and which target already takes that action for granted? Write out y_0 for two steps."
TERMINAL = "Ask what is known about the state after the last one. Where the episode terminated there is none; `discount` says so."
SCALE = "Rewards, expectations and corrections live on the scale of the returns; only what the network predicts lives on that of h."

MISTAKES = (
    Mistake("inverts the ratio in importance sampling", "importance_trace", "policy / behaviour", "behaviour / policy", RATIO),
    Mistake(
        "clips the ratio in importance sampling",
        "importance_trace",
        "return policy / behaviour",
        "return (policy / behaviour).clamp(max=1)",
        "Importance sampling keeps the expectation exact, at the price of variance. Cutting is another algorithm's idea.",
    ),
    Mistake(
        "forgets λ in tree backup",
        "tree_backup_trace",
        "trace_lambda * policy",
        "policy",
        "λ = 0 must give one-step targets, also for Tree backup.",
    ),
    Mistake(
        "uses λ alone in tree backup",
        "tree_backup_trace",
        "trace_lambda * policy",
        "trace_lambda * torch.ones_like(policy)",
        "An action that the target policy would never take tells nothing about it; the trace must know the policy.",
    ),
    Mistake(
        "puts λ inside the minimum",
        "retrace_trace",
        RETRACE,
        "return (policy / behaviour).clamp(max=trace_lambda)",
        "Compare λ min(1, ρ) with min(λ, ρ) for a ratio of 0.5 and λ = 0.8: only one of them is smaller than the ratio.",
    ),
    Mistake(
        "forgets λ in retrace",
        "retrace_trace",
        "trace_lambda * (policy",
        "(policy",
        "λ = 0 must give one-step targets, also for Retrace.",
    ),
    Mistake(
        "does not cut the ratio in retrace",
        "retrace_trace",
        ".clamp(max=1)",
        "",
        "Multiply thirty ratios, some of which are 3. What keeps Retrace's variance finite?",
    ),
    Mistake("inverts the ratio in retrace", "retrace_trace", "policy / behaviour", "behaviour / policy", RATIO),
    Mistake(
        "ignores the behaviour policy in retrace",
        "retrace_trace",
        RETRACE,
        "return trace_lambda * policy",
        "These are the traces of Tree backup: short even where both policies agree. Which quantity is 1 there?",
    ),
    Mistake(
        "takes the maximum with 1 in place of the minimum",
        "retrace_trace",
        ".clamp(max=1)",
        ".clamp(min=1)",
        "A trace says how much is believed. Should an action that the target policy avoids be believed fully?",
    ),
    Mistake(
        "averages over all actions alike",
        "expected_value",
        "(policy * q).sum(dim=-1)",
        "q.mean(dim=-1)",
        "The expectation is under the target policy, which prefers some actions.",
    ),
    Mistake(
        "takes the best action's value for the expectation",
        "expected_value",
        "(policy * q).sum(dim=-1)",
        "q.amax(dim=-1)",
        "The maximum evaluates the greedy policy. The policy to evaluate is an argument.",
    ),
    Mistake(
        "takes the most probable action's value for the expectation",
        "expected_value",
        "(policy * q).sum(dim=-1)",
        "q.gather(-1, policy.argmax(dim=-1, keepdim=True)).squeeze(-1)",
        "Every action contributes, in proportion to its probability.",
    ),
    Mistake(
        "starts the product of traces at j = 0, so that the first action is corrected, too",
        "off_policy_targets",
        "return q + correction",
        "return q + trace * correction",
        INDEX,
    ),
    Mistake("weights a correction by the trace of the action before it", "off_policy_targets", "trace[1:]", "trace[:-1]", INDEX),
    Mistake(
        "forgets γ in the product of traces",
        "off_policy_targets",
        DECAY,
        "decay = (discount[:-1] > 0) * same_episode[:-1] * trace[1:]",
        "With traces of 1 the target is the *discounted* return: a correction two steps ahead counts γ² times.",
    ),
    Mistake(
        "does not cut the traces at the ends of episodes",
        "off_policy_targets",
        DECAY,
        "decay = discount[:-1] * trace[1:]",
        "After a truncation the next row is another episode's, although the discount is still γ. Something must cut the product there.",
    ),
    Mistake(
        "takes the discount of the later of two steps in the product of traces",
        "off_policy_targets",
        DECAY,
        "decay = discount[1:] * same_episode[:-1] * trace[1:]",
        "Whether what follows step t counts is decided at step t: compare the indices of γ and of c in the product.",
    ),
    Mistake(
        "looks at the later of two steps for the end of the episode",
        "off_policy_targets",
        DECAY,
        "decay = discount[:-1] * same_episode[1:] * trace[1:]",
        "`same_episode[t]` says whether row t + 1 still belongs to the episode: compare the indices of e and of c in the product.",
    ),
    Mistake("bootstraps through a terminal state", "off_policy_targets", "discount * value_next", "discount.max() * value_next", TERMINAL),
    Mistake(
        "treats truncation as termination",
        "off_policy_targets",
        "discount * value_next",
        "discount * same_episode * value_next",
        "When the time ran out the task had not ended: the last state has a value, and it is in value_next.",
    ),
    Mistake(
        "discounts the value of the next state once too often",
        "off_policy_targets",
        "discount * value_next",
        "discount**2 * value_next",
        "Set all rewards and all traces to 0: how many steps is the value away?",
    ),
    Mistake(
        "does not discount the value of the next state",
        "off_policy_targets",
        "discount * value_next",
        "(discount > 0) * value_next",
        "Set all rewards and all traces to 0: how many steps is the value away?",
    ),
    Mistake(
        "returns the corrections alone",
        "off_policy_targets",
        "return q + correction",
        "return correction",
        "A correction is what must be added to the estimate to obtain the target.",
    ),
    Mistake(
        "bootstraps from the value of the next action taken, not from the expectation",
        "off_policy_targets",
        CORRECTION,
        "correction = reward + discount * torch.cat([q[1:], value_next[-1:]]) - q",
        "The next action was chosen by the behaviour policy. What the target policy would get there is in value_next.",
    ),
    Mistake(
        "ignores the traces",
        "off_policy_targets",
        "same_episode[:-1] * trace[1:]",
        "same_episode[:-1]",
        "Off-policy actions must be believed less; otherwise the targets are those of the behaviour policy.",
    ),
    Mistake(
        "applies h per reward, not to the whole target",
        "transformed_off_policy_targets",
        TRANSFORMED,
        "return off_policy_targets(transform(reward), discount, same_episode, q, expected_value(q_next, policy_next), trace)",
        SCALE,
    ),
    Mistake(
        "does not transform the targets by h",
        "transformed_off_policy_targets",
        TRANSFORMED,
        TRANSFORMED.replace("transform(", "(", 1),
        SCALE,
    ),
    Mistake(
        "takes the expectation before h⁻¹",
        "transformed_off_policy_targets",
        VALUE_NEXT,
        "value_next = inverse(expected_value(q_next, policy_next))",
        "h⁻¹ of a mean is not the mean of h⁻¹. On which scale is the expectation of returns meant?",
    ),
    Mistake("does not bring q back by h⁻¹", "transformed_off_policy_targets", "inverse(q), value_next", "q, value_next", SCALE),
    Mistake("does not bring the next action values back by h⁻¹", "transformed_off_policy_targets", "inverse(q_next)", "q_next", SCALE),
    Mistake(
        "takes the expectation under the behaviour policy",
        "retrace_operator",
        "(policy * q)",
        "(behaviour * q)",
        "The behaviour policy only decides which trajectories are seen. Whose action values are wanted?",
    ),
    Mistake(
        "lets the target policy choose the later actions",
        "retrace_operator",
        "(behaviour * trace)",
        "(policy * trace)",
        "The trajectories are those of the behaviour policy; the traces correct for it.",
    ),
    Mistake(
        "corrects the first action by its trace, too",
        "retrace_operator",
        "correction.flatten()",
        "(trace * correction).flatten()",
        INDEX,
    ),
    Mistake(
        "forgets γ in the series of corrections",
        "retrace_operator",
        SERIES,
        "onwards = (transition * (discount > 0))[..., None] * (behaviour * trace)",
        "A correction t steps ahead is discounted t times, besides being weighted by the traces.",
    ),
    Mistake(
        "applies only the first correction",
        "retrace_operator",
        "torch.linalg.solve(matrix, correction.flatten()).view_as(q)",
        "correction",
        "That is the one-step operator, which all traces of 0 would give.",
    ),
    Mistake(
        "multiplies by the matrix that should be inverted",
        "retrace_operator",
        "torch.linalg.solve(matrix, correction.flatten())",
        "(matrix @ correction.flatten())",
        "The geometric series of a matrix M is the inverse of 1 - M.",
    ),
    Mistake(
        "bootstraps through the end of an episode",
        "retrace_operator",
        "(reward + discount * expected_next)",
        "(reward + discount.max() * expected_next)",
        TERMINAL,
    ),
)
