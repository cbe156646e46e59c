"""Targets from explicit windows of n steps instead of a recursion; gradients stopped by no_grad."""


def n_step_double_q_targets(reward, discount, same_episode, q_online_next, q_target_next, steps):
    for other in (discount, same_episode, q_online_next[..., 0], q_target_next[..., 0]):
        expect_shape("an argument", other, *reward.shape)
    with torch.no_grad():
        value = torch.take_along_dim(q_target_next, q_online_next.argmax(-1, True), -1)[..., 0]
        length = len(reward)
        total, factor, running = torch.zeros_like(reward), torch.ones_like(reward), torch.ones_like(reward)
        last = torch.arange(length)[:, None].expand_as(reward).clone()
        for k in range(min(steps, length)):
            live = running[: length - k]
            total[: length - k] += live * factor[: length - k] * reward[k:]
            last[: length - k] = torch.where(live > 0, torch.arange(k, length)[:, None], last[: length - k])
            factor[: length - k] *= torch.where(live > 0, discount[k:], torch.ones_like(live))
            running[: length - k] = live * same_episode[k:]
        return total + factor * value.gather(0, last)


def transformed_double_q_targets(reward, discount, same_episode, q_online_next, q_target_next, steps, epsilon):
    online, target = rescale_inverse(q_online_next, epsilon), rescale_inverse(q_target_next, epsilon)
    return rescale(n_step_double_q_targets(reward, discount, same_episode, online, target, steps), epsilon)


def sequence_priority(td_error, mask, max_weight):
    lengths = mask.sum(dim=0)
    error = (td_error * mask).abs()
    return torch.lerp(error.sum(dim=0) / lengths, error.max(dim=0).values, max_weight)
