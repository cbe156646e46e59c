"""numpy inside and outside, float64 throughout."""

import numpy as np


def importance_trace(policy, behaviour):
    return np.divide(np.asarray(policy, np.float64), np.asarray(behaviour, np.float64))


def tree_backup_trace(policy, trace_lambda):
    return np.multiply(np.asarray(policy, np.float64), trace_lambda)


def retrace_trace(policy, behaviour, trace_lambda):
    return trace_lambda * np.minimum(1, np.asarray(policy, np.float64) / np.asarray(behaviour, np.float64))


def expected_value(q, policy):
    return np.sum(np.asarray(policy, np.float64) * np.asarray(q, np.float64), axis=-1)


def off_policy_targets(reward, discount, same_episode, q, value_next, trace):
    arrays = [np.asarray(array, np.float64) for array in (reward, discount, same_episode, q, value_next, trace)]
    if any(array.shape != arrays[0].shape for array in arrays):
        raise ValueError("shapes differ")
    reward, discount, same_episode, q, value_next, trace = arrays
    result = reward + discount * value_next - q
    for t in range(len(reward) - 2, -1, -1):
        result[t] += discount[t] * same_episode[t] * trace[t + 1] * result[t + 1]
    return q + result


def transformed_off_policy_targets(reward, discount, same_episode, q, q_next, policy_next, trace, transform, inverse):
    plain, plain_next = np.asarray(inverse(q)), np.asarray(inverse(q_next))
    return np.asarray(transform(off_policy_targets(reward, discount, same_episode, plain, expected_value(plain_next, policy_next), trace)))


def retrace_operator(q, transition, reward, discount, policy, behaviour, trace):
    q, transition, reward, discount, policy, behaviour, trace = (
        np.asarray(array, np.float64) for array in (q, transition, reward, discount, policy, behaviour, trace)
    )
    matrix = np.einsum("sak,sak,kb,kb->sakb", transition, discount, behaviour, trace).reshape(q.size, q.size)
    target = np.einsum("sak,sak->sa", transition, reward + discount * (policy * q).sum(1))
    return q + np.linalg.solve(np.eye(q.size) - matrix, (target - q).ravel()).reshape(q.shape)
