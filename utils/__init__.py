"""The tutorial's names, `utils.cifar10_input` and `utils.learning`: a doorway to `graph_resnet.data` and `.loop`."""
