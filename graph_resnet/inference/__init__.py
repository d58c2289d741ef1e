"""Uses a trained net: evaluation, predictions, its logits in your own graph, a SavedModel, reports.

These are the calls behind the commands. They work in an eager process too:

    from graph_resnet import inference

    result = inference.evaluate("runs/notebook")  # an `Evaluation`
    print(result.accuracy, result.confusion)
    for prediction in inference.predict("runs/notebook", ["cat.jpg", numpy_array, pil_image]):
        print(prediction.class_name, prediction.probability)
    inference.export("runs/notebook", "exported")

    with tf.Graph().as_default(), tf.Session() as session:  # tf is tensorflow.compat.v1
        images = tf.placeholder(tf.uint8, [None, 32, 32, 3])
        logits, restore = inference.logits("runs/notebook", images)
        restore(session)

Each raises `graph_resnet.errors.UserError`, a one-line message, for bad input, and nothing else. None prints or changes
the caller's default graph (except `logits`, which builds in it), eager mode, or other sessions' threads. TensorFlow is
imported by the call that needs it.
"""

from graph_resnet import lazy, session

__getattr__, __dir__, __all__ = lazy.names(
    __name__,
    {
        "evaluate": "evaluation",
        "Evaluation": "evaluation",
        "predict": "prediction",
        "Prediction": "prediction",
        "Predictor": "prediction",
        "logits": "restore",
        "export": "saved_model",
        "Exported": "saved_model",
        "write_report": "report",
        "write_comparison": "comparison",
    },
    before=session.use_onednn,
)
