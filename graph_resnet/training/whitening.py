"""Filters that whiten: the first convolution of a net, set from the training images instead of drawn.

Neighbouring pixels are nearly alike, so that drawn filters answer to brightness above all, and a net has to learn its
way to everything else. Patches projected on the eigenvectors of their covariance, each divided by its deviation, are
uncorrelated and of one size (A. Coates, A. Ng: Learning feature representations with K-means, 2012). K. Jordan: 94% on
CIFAR-10 in 3.29 seconds, arXiv:2404.00498, 2024, begins a net with them, each once with either sign, as the activation
behind lets one side pass. There they stay as they are, here they go on learning.
"""

import numpy as np
import tensorflow.compat.v1 as tf

from graph_resnet.data import batches
from graph_resnet.errors import UserError
from graph_resnet.session import session_config

EXAMPLES = 1_000  # training images, the first ones
REGULARIZATION = 1e-3  # added to each variance, in units of the normalized images


def initializer(recipe, records):
    """What draws the weights of a recipe's first convolution, for `net.build`.

    Returns:
      A function of (shape, dtype): whitening filters as far as there are any, Glorot uniform beyond.

    Raises:
      UserError: the images are smaller than the convolution.
    """
    stem = recipe.architecture.stem
    if recipe.image_size < stem.kernel:
        raise UserError(
            f"image size {recipe.image_size}: whitening needs at least {stem.kernel}; or pass --no-whitening"
        )
    pictures = batches.images(records, range(min(EXAMPLES, records.num_train)), "train")
    # Without a config it would decide, as a process's first session, that two ops run at once in all of them.
    with tf.Graph().as_default(), tf.Session(config=session_config()) as session:
        images = session.run(batches.prepared(pictures, recipe.image_size, recipe.mean, recipe.std))
    found = filters(images, stem.kernel, stem.kernel, stem.depth)

    def weights(shape, dtype=tf.float32, partition_info=None):
        drawn = tf.glorot_uniform_initializer()([*shape[:3], int(shape[3]) - found.shape[3]], dtype)
        return tf.concat([tf.constant(found, dtype), drawn], axis=3)

    return weights


def filters(images, height, width, depth):
    """The whitening filters of some images, those of the greatest variance first, then the same negated.

    Args:
      images: float [N, H, W, C].
      height, width: of a filter.
      depth: int, how many filters at most.

    Returns:
      float32 [height, width, C, n], n the least even of `depth` and 2 * height * width * C. The first n / 2 answers to
      the patches of `images` that do not overlap are uncorrelated, with a variance of nearly 1.
    """
    patches = np.lib.stride_tricks.sliding_window_view(images, (height, width), axis=(1, 2))  # [N, h, w, C, kh, kw]
    apart = patches[:, ::height, ::width]  # without overlap they are as good, and few enough at 96x96
    channels = images.shape[3]
    rows = apart.transpose(0, 1, 2, 4, 5, 3).reshape(-1, height * width * channels)
    variances, vectors = np.linalg.eigh(np.cov(rows, rowvar=False, bias=True))  # ascending
    half = min(depth // 2, len(variances))
    scaled = (vectors / np.sqrt(variances + REGULARIZATION))[:, ::-1][:, :half]
    both = np.concatenate([scaled, -scaled], axis=1)
    return both.reshape(height, width, channels, 2 * half).astype(np.float32)
