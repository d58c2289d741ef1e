"""`tf.contrib.distributions` without TensorFlow Probability, in programs run with `python -m graph_resnet.tf1`."""

import numpy as np
import pytest

from tests.test_tf1_run import run, write

pytestmark = pytest.mark.slow  # each imports TensorFlow

ONE_HOT = """
import numpy as np
import tensorflow as tf

ds = tf.contrib.distributions
one_hot = ds.OneHotCategorical(probs=[[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]], name='kinds')
relaxed = ds.RelaxedOneHotCategorical(0.5, logits=tf.log([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]]))
logs = ds.ExpRelaxedOneHotCategorical(0.5, probs=relaxed.probs)
for d in one_hot, relaxed, logs:
    print(isinstance(d, ds.Distribution), isinstance(d, tf.distributions.Distribution), d.name, d.dtype.name,
          d.batch_shape, d.event_shape, d.sample([4, 5], seed=1).shape, d.sample(3).shape, d.sample().shape)
unknown = ds.OneHotCategorical(tf.placeholder(tf.float32, [None, 3]), dtype=tf.float32).sample(2)
print(unknown.shape, unknown.dtype.name)
x = tf.constant([[0.2, 0.3, 0.5]])
with tf.Session() as sess:
    samples, soft, log_samples = sess.run([one_hot.sample(4000, seed=2), relaxed.sample(2000, 3), logs.sample(2, 4)])
    print(np.array_equal(samples.sum(-1), np.ones([4000, 2])), samples.mean(0).round(1).tolist())
    print(np.allclose(soft.sum(-1), 1, atol=1e-5), np.allclose(np.exp(log_samples).sum(-1), 1, atol=1e-5))
    print((soft.argmax(-1) == 2).mean(0).round(1).tolist())
    numbers = {
        'log_prob': one_hot.log_prob([0, 0, 1]), 'prob': one_hot.prob([[0, 1, 0], [1, 0, 0]]),
        'entropy': one_hot.entropy(), 'mode': one_hot.mode(), 'mean': one_hot.mean(),
        'kl': ds.kl_divergence(one_hot, ds.OneHotCategorical(tf.zeros([3]))),
        'relaxed': relaxed.log_prob(x), 'logs': logs.log_prob(tf.log(x)),
        'gradient': tf.gradients(relaxed.sample(7, seed=1)[..., 0], relaxed.logits)[0]}
    print({name: value.astype(float).round(5).tolist() for name, value in sess.run(numbers).items()})
"""


def test_one_hot_and_relaxed_categories(tmp_path):
    write(tmp_path, "a.py", ONE_HOT)
    lines = (result := run(tmp_path, "a.py")).stdout.splitlines()
    shapes = "(2,) (3,) (4, 5, 2, 3) (3, 2, 3) (2, 3)"
    kinds = ["kinds/ int32", "RelaxedOneHotCategorical/ float32", "ExpRelaxedOneHotCategorical/ float32"]
    assert lines[:3] == [f"True True {kind} {shapes}" for kind in kinds], result.stderr
    assert lines[3] == "(2, ?, 3) float32"
    drawn = np.round([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]], 2)
    assert lines[4].startswith("True ")
    np.testing.assert_allclose(eval(lines[4][5:]), drawn, atol=0.06)
    assert lines[5] == "True True"
    np.testing.assert_allclose(eval(lines[6]), drawn[:, 2], atol=0.06)
    numbers, p = eval(lines[7]), np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]])
    entropy = -(p * np.log(p)).sum(-1)
    assert numbers["log_prob"] == pytest.approx(np.log([0.7, 0.25]), abs=1e-4)
    assert numbers["prob"] == pytest.approx([0.2, 0.5], abs=1e-4)
    assert numbers["entropy"] == pytest.approx(entropy, abs=1e-4)
    assert numbers["kl"] == pytest.approx(np.log(3) - entropy, abs=1e-4)
    assert numbers["mode"] == [[0, 0, 1], [1, 0, 0]]
    np.testing.assert_allclose(numbers["mean"], p, atol=1e-4)
    # (n - 1)! t^(n - 1) prod(p x^(-t - 1) / sum(p x^-t)) of Maddison et al., for n = 3 and t = 0.5.
    x = np.array([0.2, 0.3, 0.5])
    ratio = p * x**-1.5 / (p * x**-0.5).sum(-1, keepdims=True)
    density = np.log(2 * 0.5**2 * ratio.prod(-1))
    assert numbers["relaxed"] == pytest.approx(density, abs=1e-4)
    assert numbers["logs"] == pytest.approx(density + np.log(x).sum(), abs=1e-4)
    assert np.shape(numbers["gradient"]) == (2, 3) and np.abs(numbers["gradient"]).min() > 0


DIAGONAL = """
import numpy as np
import tensorflow as tf
from tensorflow.contrib.distributions import MultivariateNormalDiag, kl_divergence
from tensorflow.contrib.distributions.python.ops import distribution_util

ds = tf.contrib.distributions
a = MultivariateNormalDiag([[0.0, 1.0], [2.0, 3.0]], scale_diag=[1.0, 2.0], name='a')
b = MultivariateNormalDiag(tf.zeros([2]), tf.ones([2]))
whole = ds.Independent(ds.Normal(tf.zeros([4, 3, 2]), 2.0))
images = ds.Independent(ds.Bernoulli(logits=tf.zeros([4, 3, 2])), reinterpreted_batch_ndims=2)
for d in a, whole, images:
    print(isinstance(d, tf.distributions.Distribution), d.name, d.batch_shape, d.event_shape, d.sample(5).shape)
identity = MultivariateNormalDiag(tf.zeros([2]), scale_identity_multiplier=3.0)
both = MultivariateNormalDiag(scale_diag=[1.0, 2.0], scale_identity_multiplier=3.0)
soft = ds.MultivariateNormalDiagWithSoftplusScale([0.0, 0.0], [0.0, 1.0])
pairs = [
    (a, b), (whole, whole), (ds.Normal(0.0, 1.0), ds.Normal(1.0, 2.0)),
    (ds.Bernoulli(probs=0.5), ds.Bernoulli(probs=0.25)),
    (ds.Categorical(probs=[0.5, 0.5]), ds.Categorical(probs=[0.25, 0.75])), (ds.Beta(1.0, 1.0), ds.Beta(1.0, 1.0)),
    (ds.Gamma(1.0, 2.0), ds.Gamma(1.0, 1.0)), (ds.Exponential(2.0), ds.Exponential(1.0)),
    (ds.Dirichlet([1.0, 1.0]), ds.Dirichlet([1.0, 1.0])), (ds.NormalWithSoftplusScale(0.0, 1.0), ds.Normal(0.0, 1.0))]
with tf.Session() as sess:
    print([k.astype(float).round(4).tolist() for k in sess.run([kl_divergence(p, q) for p, q in pairs])])
    print([s.astype(float).round(4).tolist() for s in sess.run([d.stddev() for d in (identity, both, soft)])])
    values = a.log_prob([0.0, 1.0]), a.entropy(), a.mean(), a.covariance()[0], a.scale.diag_part(), images.prob(
        tf.ones([3, 2]))
    print([v.astype(float).round(4).tolist() for v in sess.run(values)])
    print(sess.run(distribution_util.fill_triangular([1, 2, 3])).shape, ds.kl is ds.kl_divergence)
for kind in ds.Laplace, ds.Uniform:
    try:
        kl_divergence(kind(0.0, 1.0), kind(0.0, 1.0))
    except NotImplementedError as error:
        print(error)
"""


def test_diagonal_normals_and_divergences(tmp_path):
    """KL of normals by hand: log(s_b / s_a) + (s_a^2 + (m_a - m_b)^2) / (2 s_b^2) - 1/2, summed over the event.

    Of gammas with shape 1 and rates 2, 1: log 2 + 1/2 - 1. Laplace and Uniform had none in TensorFlow 1.15.
    """
    write(tmp_path, "a.py", DIAGONAL)
    lines = (result := run(tmp_path, "a.py")).stdout.splitlines()
    assert lines[:3] == [
        "True a/ (2,) (2,) (5, 2, 2)",
        "True IndependentNormal_2/ (4,) (3, 2) (5, 4, 3, 2)",
        "True IndependentBernoulli/ (4,) (3, 2) (5, 4, 3, 2)",
    ], result.stderr
    kl, scale = eval(lines[3]), np.log1p(np.e)

    def normals(mean, deviation):
        return -np.log(deviation) + (np.square(deviation) + np.square(mean) - 1) / 2

    assert kl[0] == pytest.approx((normals([[0, 1], [2, 3]], [1, 2])).sum(-1), abs=1e-3)
    assert kl[1] == [0] * 4
    assert kl[2] == pytest.approx(np.log(2) + 2 / 8 - 0.5, abs=1e-3)
    two = 0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75)
    assert kl[3:] == pytest.approx([two, two, 0, np.log(2) - 0.5, np.log(2) - 0.5, 0, normals(0, scale)], abs=1e-3)
    np.testing.assert_allclose(eval(lines[4]), [[3, 3], [4, 5], [np.log(2), scale]], atol=1e-3)
    log_prob, entropy, mean, covariance, diagonal, prob = eval(lines[5])
    constant = np.log(2 * np.pi) + np.log(2)
    assert log_prob == pytest.approx([-constant, -constant - (4 + 1) / 2], abs=1e-3)
    assert entropy == pytest.approx([constant + 1] * 2, abs=1e-3)
    assert (mean, covariance, diagonal) == ([[0, 1], [2, 3]], [[1, 0], [0, 4]], [[1, 2], [1, 2]])
    assert prob == pytest.approx([2**-6] * 4, abs=1e-4)
    assert lines[6] == "(2, 2) True"
    assert [line.startswith("No KL(distribution_a || distribution_b) registered") for line in lines[7:]] == [True] * 2


MIXTURES = """
import numpy as np
import tensorflow as tf

ds = tf.contrib.distributions
weights = tf.constant([[0.25, 0.75], [0.5, 0.5]])
listed = ds.Mixture(ds.Categorical(probs=weights), [ds.Normal([0.0, 1.0], 1.0), ds.Normal([4.0, 1.0], 2.0)])
family = ds.MixtureSameFamily(ds.Categorical(probs=weights), ds.Normal([[0.0, 4.0], [1.0, 1.0]], [1.0, 2.0]))
vectors = ds.MixtureSameFamily(ds.Categorical(probs=[0.5, 0.5]), ds.MultivariateNormalDiag(tf.zeros([3, 2, 5])))
parts = [ds.MultivariateNormalDiag(tf.zeros([2, 3]) + i) for i in range(2)]
both = ds.Mixture(ds.Categorical(probs=weights), parts)
for d in listed, family, vectors, both:
    print(isinstance(d, tf.distributions.Distribution), d.batch_shape, d.event_shape, d.sample([4, 6]).shape,
          d.log_prob(d.sample(4)).shape)
relaxed, logistic = ds.RelaxedBernoulli(0.5, probs=[0.2, 0.5]), ds.Logistic([1.0, 2.0], 3.0)
with tf.Session() as sess:
    samples = sess.run([listed.sample(4000, seed=1), family.sample(4000, seed=2), relaxed.sample(4000, seed=3) > 0.5])
    print([s.mean(0).astype(float).round(1).tolist() for s in samples])
    values = {'log_prob': [d.log_prob([1.0, 1.0]) for d in (listed, family)], 'mean': [listed.mean(), family.mean()],
              'stddev': [listed.stddev(), family.stddev()], 'log_normal': ds.LogNormal(1.0, 0.5).log_prob(2.0),
              'log_mean': ds.LogNormal(1.0, 0.5).mean(), 'logistic': logistic.log_prob(0.0),
              'cdf': logistic.cdf(1.0), 'relaxed': relaxed.log_prob(0.25), 'vectors': vectors.log_prob(tf.zeros([5]))}
    print({name: np.float64(value).round(4).tolist() for name, value in sess.run(values).items()})
try:
    ds.Mixture(ds.Categorical(probs=[0.5, 0.5]), [ds.Normal(0.0, 1.0)])
except ValueError as error:
    print(error)
"""


def test_mixtures_and_functions_of_variables(tmp_path):
    write(tmp_path, "a.py", MIXTURES)
    lines = (result := run(tmp_path, "a.py")).stdout.splitlines()
    shapes = ["(2,) () (4, 6, 2) (4, 2)"] * 2 + ["(3,) (5,) (4, 6, 3, 5) (4, 3)", "(2,) (3,) (4, 6, 2, 3) (4, 2)"]
    assert lines[:4] == [f"True {shape}" for shape in shapes], result.stderr
    np.testing.assert_allclose(eval(lines[4])[:2], [[3, 1]] * 2, atol=0.2)
    np.testing.assert_allclose(eval(lines[4])[2], [0.2, 0.5], atol=0.06)

    def normal(x, mean, deviation):
        return np.exp(-(((x - mean) / deviation) ** 2) / 2) / deviation / np.sqrt(2 * np.pi)

    values = eval(lines[5])
    first = 0.25 * normal(1, 0, 1) + 0.75 * normal(1, 4, 2), 0.5 * normal(1, 1, 1) + 0.5 * normal(1, 1, 2)
    np.testing.assert_allclose(values["log_prob"], [np.log(first)] * 2, atol=1e-3)
    np.testing.assert_allclose(values["mean"], [[3, 1]] * 2, atol=1e-3)
    deviations = np.sqrt([0.25 * 1 + 0.75 * (4 + 16) - 9, (1 + 4) / 2])
    np.testing.assert_allclose(values["stddev"], [deviations] * 2, atol=1e-3)
    assert values["log_normal"] == pytest.approx(np.log(normal(np.log(2), 1, 0.5) / 2), abs=1e-3)
    assert values["log_mean"] == pytest.approx(np.exp(1.125), abs=1e-3)
    z = np.exp(np.array([1, 2]) / 3)
    assert values["logistic"] == pytest.approx(np.log(z / (3 * (1 + z) ** 2)), abs=1e-3)
    assert values["cdf"] == pytest.approx([0.5, 1 / (1 + np.exp(1 / 3))], abs=1e-3)
    # t a x^(-t - 1) (1 - x)^(-t - 1) / (a x^-t + (1 - x)^-t)^2 of Maddison et al., a = p / (1 - p), t = 0.5.
    a, x = np.array([0.25, 1.0]), 0.25
    density = 0.5 * a * (x * (1 - x)) ** -1.5 / (a * x**-0.5 + (1 - x) ** -0.5) ** 2
    assert values["relaxed"] == pytest.approx(np.log(density), abs=1e-3)
    assert values["vectors"] == pytest.approx([5 * np.log(normal(0, 0, 1))] * 3, abs=1e-3)
    assert lines[6] == "cat has 2 classes, so as many components are needed, not 1."
