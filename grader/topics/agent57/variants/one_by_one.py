"""Targets by the exercises of Retrace, policy by policy; combinations by einsum."""


def combined_q(extrinsic, intrinsic, weight):
    return extrinsic + torch.einsum("...,...a->...a", weight, intrinsic)


def transformed_combined_q(extrinsic, intrinsic, weight, transform, inverse):
    parts = [inverse(q) for q in (extrinsic, intrinsic)]
    return transform(torch.add(parts[0], parts[1] * weight[..., None]))


def split_targets(
    online, target, action, behaviour, extrinsic, intrinsic, weight, discount, same_episode, trace_lambda, target_epsilon, epsilon
):
    length, batch = action.shape
    if {tuple(row.shape) for row in (behaviour, extrinsic, intrinsic, discount, same_episode)} != {(length, batch)}:
        raise ValueError(f"every row must have the shape {[length, batch]}")
    if {tuple(q.shape[:2]) for q in (*online, *target)} != {(length + 1, batch)} or tuple(weight.shape) != (batch,):
        raise ValueError("values and weights must fit the rows")
    if len({q.shape[2] for q in (*online, *target)}) > 1:
        raise ValueError("all networks must have the same actions")
    columns = []
    with torch.no_grad():
        for b in range(batch):
            combined = online[0][:, b] + weight[b] * online[1][:, b]
            policy = epsilon_greedy(combined, torch.full((length + 1,), target_epsilon))[:, None]
            index = action[:, b, None, None]
            trace = retrace_trace(policy[:-1].gather(-1, index).squeeze(-1), behaviour[:, b, None], trace_lambda)
            rows = discount[:, b, None], same_episode[:, b, None]
            columns.append([
                transformed_off_policy_targets(
                    reward[:, b, None], *rows, q[:-1, b, None].gather(-1, index).squeeze(-1), q[1:, b, None], policy[1:], trace,
                    lambda x: rescale(x, epsilon), lambda x: rescale_inverse(x, epsilon),
                )
                for reward, q in zip((extrinsic, intrinsic), target, strict=True)
            ])  # fmt: skip
    return tuple(torch.cat(column, 1) for column in zip(*columns, strict=True))


def human_normalized_score(agent, random, human):
    return 1 + (agent - human) / (human - random)
