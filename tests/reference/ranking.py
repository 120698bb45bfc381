"""The YouTube-8M metrics as plainly as they can be written: whole arrays, loops, no ties expected."""

import itertools

import numpy as np


def ranked_average_precision(scores, positive, total):
    """Sum of the precision at each positive of the ranking, over `total`."""
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    found, precisions = 0, 0.0
    for rank, index in enumerate(order, 1):
        if positive[index]:
            found += 1
            precisions += found / rank
    return precisions / total


def all_orders(scores, positive, total):
    """The average precision for every order of the entries that sorts the scores."""
    orders = itertools.permutations(range(len(scores)))
    sorting = [order for order in orders if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))]
    ranks = -np.arange(len(scores))
    return [ranked_average_precision(ranks, [positive[index] for index in order], total) for order in sorting]


def top(probabilities, top_k):
    """Class numbers of one video's most probable classes; of equals the lower number first."""
    return sorted(range(len(probabilities)), key=lambda label: (-probabilities[label], label))[:top_k]


def gap(labels, probabilities, top_k=20):
    entries = [
        (probabilities[video, label], labels[video, label])
        for video in range(len(labels))
        for label in top(probabilities[video], top_k)
    ]
    return ranked_average_precision(*zip(*entries, strict=True), labels.sum())


def mean_average_precision(labels, probabilities, top_k=20):
    """`top_k` None ranks every video in every class."""
    scores = []
    for label in range(labels.shape[1]):
        if not labels[:, label].any():
            continue
        videos = [
            video for video in range(len(labels)) if top_k is None or label in top(probabilities[video], top_k)
        ]
        column = probabilities[videos, label], labels[videos, label]
        scores.append(ranked_average_precision(*column, labels[:, label].sum()))
    return float(np.mean(scores))


def hit_at_one(labels, probabilities):
    return float(np.mean([row[top(scores, 1)[0]] for row, scores in zip(labels, probabilities, strict=True)]))


def perr(labels, probabilities):
    shares = []
    for row, scores in zip(labels, probabilities, strict=True):
        asked = int(row.sum())
        right = sum(row[label] for label in top(scores, asked) if scores[label] > 0)
        shares.append(right / asked if asked else 0.0)
    return float(np.mean(shares))


def f1(labels, probabilities, threshold, average="micro"):
    predicted = probabilities >= threshold
    axis = None if average == "micro" else 0
    right = (predicted & (labels > 0)).sum(axis)
    wrong = (predicted != (labels > 0)).sum(axis)
    scores = np.atleast_1d(2 * right / np.maximum(2 * right + wrong, 1))
    there = np.atleast_1d(labels.any(axis))
    return float(scores[there].mean()) if there.any() else 0.0
