"""Whitening filters: the first convolution of a net, computed from the training images instead of random.

Neighbouring pixels are strongly correlated, so random filters respond mostly to brightness; the net has to learn
everything else from there. Projecting patches on the eigenvectors of their covariance, divided by the standard
deviations, makes them uncorrelated and of equal variance (A. Coates, A. Ng: Learning feature representations with
K-means, 2012). K. Jordan (94% on CIFAR-10 in 3.29 seconds, arXiv:2404.00498, 2024) starts a net with such filters, each
with both signs, because the activation after them passes only one. He freezes them; here they
are trained further, except where the net's row freezes them.
"""

import numpy as np
import tensorflow.compat.v1 as tf

from graph_resnet.data import batches
from graph_resnet.errors import UserError
from graph_resnet.session import session_config

EXAMPLES = 1_000  # number of training images used, the first ones
REGULARIZATION = 1e-3  # added to each variance, in units of the normalized images


def initializer(recipe, records):
    """An initializer for a recipe's first convolution, for `net.build`.

    Returns:
      A function of (shape, dtype): the whitening filters, then Glorot uniform for the rest.

    Raises:
      UserError: the images are smaller than the convolution.
    """
    stem = recipe.architecture.stem
    if recipe.image_size < stem.kernel:
        raise UserError(
            f"image size {recipe.image_size}: whitening needs at least {stem.kernel}; or pass --no-whitening"
        )
    pictures = batches.images(records, range(min(EXAMPLES, records.num_train)), "train")
    # The process's first session sets the number of parallel ops for all later ones, so it needs our config.
    with tf.Graph().as_default(), tf.Session(config=session_config()) as session:
        images = session.run(batches.prepared(pictures, recipe.image_size, recipe.mean, recipe.std))
    whitening = filters(images, stem.kernel, stem.kernel, stem.depth)

    def weights(shape, dtype=tf.float32, partition_info=None):
        drawn = tf.glorot_uniform_initializer()([*shape[:3], int(shape[3]) - whitening.shape[3]], dtype)
        return tf.concat([tf.constant(whitening, dtype), drawn], axis=3)

    return weights


def filters(images, height, width, depth):
    """The whitening filters of some images, highest variance first, then the same negated.

    Args:
      images: float [N, H, W, C].
      height, width: of a filter.
      depth: int, maximum number of filters.

    Returns:
      float32 [height, width, C, n], n even, the minimum of `depth` and 2 * height * width * C. On the non-overlapping
      patches of `images`, the first n / 2 filters give uncorrelated outputs with a variance of almost 1.
    """
    patches = np.lib.stride_tricks.sliding_window_view(images, (height, width), axis=(1, 2))  # [N, h, w, C, kh, kw]
    apart = patches[:, ::height, ::width]  # non-overlapping ones give as good filters, and fit in memory at 96x96
    channels = images.shape[3]
    rows = apart.transpose(0, 1, 2, 4, 5, 3).reshape(-1, height * width * channels)
    variances, vectors = np.linalg.eigh(np.cov(rows, rowvar=False, bias=True))  # ascending
    half = min(depth // 2, len(variances))
    scaled = (vectors / np.sqrt(variances + REGULARIZATION))[:, ::-1][:, :half]
    both = np.concatenate([scaled, -scaled], axis=1)
    return both.reshape(height, width, channels, 2 * half).astype(np.float32)
